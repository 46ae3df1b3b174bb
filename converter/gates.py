"""The gates of a variant. Pure: figures in, one GateResult per gate out, passed or not.

Every variant must load and run, give finite scores that vary, and hold the candidate's VariantGates; a float variant
must besides be the float model: below FLOAT_MIN_SQNR_DB a float conversion is a bug, not noise (docs/measurements.md:
a dropped bias showed as 28 to 65 dB, a right conversion as 107 to 145 dB).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.release import GateResult

if TYPE_CHECKING:
    from converter.parity import Parity
    from converter.recipe import Recipe
    from fleet_contract.candidate import VariantGates

FLOAT_MIN_SQNR_DB: Final = 100.0
RUNS_GATE: Final = "runs"
FINITE_GATE: Final = "finite"
VARIES_GATE: Final = "varies"
EDGES_GATE: Final = "edges"


def fact(gate: str, *, holds: bool, detail: str = "") -> GateResult:
    """A gate that is simply true or not."""
    return GateResult(gate=gate, passed=holds, measured=float(holds), threshold=1.0, detail=detail)


def at_least(gate: str, measured: float, threshold: float, detail: str = "") -> GateResult:
    """A gate with a floor; a measured NaN fails."""
    return GateResult(gate=gate, passed=measured >= threshold, measured=measured, threshold=threshold, detail=detail)


def at_most(gate: str, measured: float, threshold: float, detail: str = "") -> GateResult:
    """A gate with a ceiling; a measured NaN fails."""
    return GateResult(gate=gate, passed=measured <= threshold, measured=measured, threshold=threshold, detail=detail)


def judge(
    recipe: Recipe, gates: VariantGates, parity: Parity, *, size_bytes: int, latency_p50_ms: float
) -> tuple[GateResult, ...]:
    """All gates on the figures of a variant that ran."""
    rows = f"of {parity.sample_count} held-out rows"
    results = [
        at_most("accuracy-drop", parity.accuracy_drop, gates.max_accuracy_drop, rows),
        at_least("top1-agreement", parity.top1_agreement, gates.min_top1_agreement, rows),
        _slice_gate(parity, gates.max_slice_drop),
    ]
    if recipe.exact:
        results.append(at_least("float-agreement", parity.top1_agreement, 1.0, "a float variant is the float model"))
        results.append(at_least("float-sqnr-db", parity.sqnr_db, FLOAT_MIN_SQNR_DB, "lower is a conversion bug"))
    if gates.max_size_bytes:
        results.append(at_most("size-bytes", float(size_bytes), float(gates.max_size_bytes)))
    if gates.max_latency_p50_ms:
        results.append(
            at_most(
                "latency-p50-ms", latency_p50_ms, gates.max_latency_p50_ms, "one thread of the machine that converts"
            )
        )
    return tuple(results)


def _slice_gate(parity: Parity, threshold: float) -> GateResult:
    worst = parity.worst_slice
    if worst is None:
        return at_most("slice-drop", 0.0, threshold, "no slice has enough held-out rows to be judged")
    return at_most("slice-drop", worst.drop, threshold, f"{worst.name}, {worst.sample_count} rows")
