"""The two comparisons that gates are made of; both are false for NaN, so that it never passes."""

from __future__ import annotations

from fleet_contract.release import GateResult


def at_least(gate: str, measured: float, threshold: float, detail: str) -> GateResult:
    """Passes when `measured` is `threshold` or more."""
    return GateResult(gate=gate, passed=measured >= threshold, measured=measured, threshold=threshold, detail=detail)


def at_most(gate: str, measured: float, threshold: float, detail: str) -> GateResult:
    """Passes when `measured` is `threshold` or less."""
    return GateResult(gate=gate, passed=measured <= threshold, measured=measured, threshold=threshold, detail=detail)
