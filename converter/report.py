"""The conversion report: every recipe that was tried, what it reached, and why it was refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from fleet_contract.codec import UtcTime
from fleet_contract.release import GateResult, VariantEvidence

if TYPE_CHECKING:
    from converter.trial import Trial


class StageTime(Struct, frozen=True, kw_only=True):
    """How long a stage of the conversion took."""

    name: str
    duration_s: float


class VariantReport(Struct, frozen=True, kw_only=True):
    """One recipe. `evidence` is absent when it did not get as far; `reason` is empty when it was published."""

    id: str
    published: bool
    reason: str
    size_bytes: int
    build_s: float
    gates: tuple[GateResult, ...]
    evidence: VariantEvidence | None = None
    worst_slice: str = ""
    worst_slice_drop: float = 0.0
    golden_tolerance: float = 0.0
    golden_agreement: float = 0.0


class ConversionReport(Struct, frozen=True, kw_only=True):
    """`report.json`. `float_accuracy` is the Keras model's on the same held-out rows."""

    schema: int = 1
    model: str
    candidate_created_at: UtcTime
    override: str
    float_accuracy: float
    holdout_rows: int
    calibration_rows: int
    golden_rows: int
    variants: tuple[VariantReport, ...]
    stages: tuple[StageTime, ...]
    remarks: tuple[str, ...] = ()


def evidence(trial: Trial) -> VariantEvidence | None:
    """The figures of a trial in the contract's form; None when it did not give scores."""
    parity, proof = trial.parity, trial.proof
    if parity is None or proof is None:
        return None
    return VariantEvidence(
        sample_count=parity.sample_count,
        accuracy=parity.accuracy,
        accuracy_drop=parity.accuracy_drop,
        top1_agreement=parity.top1_agreement,
        max_abs_error=parity.max_abs_error,
        mean_abs_error=parity.mean_abs_error,
        sqnr_db=parity.sqnr_db,
        latency_p50_ms=proof.latency_p50_ms,
        latency_p95_ms=proof.latency_p95_ms,
        host_rss_mb=proof.rss_mb,
    )


def variant_report(trial: Trial) -> VariantReport:
    """One line of the report."""
    worst = trial.parity.worst_slice if trial.parity else None
    return VariantReport(
        id=trial.build.recipe.name,
        published=trial.passed,
        reason=trial.reason,
        size_bytes=trial.size_bytes,
        build_s=trial.build.duration_s,
        gates=trial.gates,
        evidence=evidence(trial),
        worst_slice=worst.name if worst else "",
        worst_slice_drop=worst.drop if worst else 0.0,
        golden_tolerance=trial.golden_tolerance,
        golden_agreement=trial.golden_agreement,
    )
