"""The verdict of a preflight and the stable codes of its failures."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PreflightCode(StrEnum):
    """Why a variant is not fit for this board; `PASSED` is empty."""

    PASSED = ""
    LOAD = "load"
    CONTRACT = "contract"
    GOLDEN = "golden"
    LATENCY = "latency"
    MEMORY = "memory"
    CRASH = "crash"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class PreflightResult:
    """What was measured before a verdict was reached; figures that were not reached are NaN."""

    passed: bool
    code: PreflightCode
    detail: str
    latency_p95_ms: float = float("nan")
    rss_mb: float = float("nan")
    max_abs_error: float = float("nan")
    agreement: float = float("nan")
