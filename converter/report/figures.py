"""The conversion report: every recipe that was tried, what it reached, why it was refused, and what was searched."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from converter.proof.budgets import SLOWER_MARGIN, TargetVerdict, in_integers, latency_ratio
from converter.proof.verdicts import figures_of
from converter.search import SearchTrial
from converter.trial_log import read_trials
from fleet_contract.codec import UtcTime
from fleet_contract.device_profile import Runtime
from fleet_contract.release import GateResult, VariantEvidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from converter.proof.parity import Accuracy
    from converter.proof.trial import Trial

MAX_REPORT_BYTES: Final = 64 * 1024 * 1024


class StageTime(Struct, frozen=True, kw_only=True):
    """How long a stage of the conversion took."""

    name: str
    duration_s: float


class AccuracyReport(Struct, frozen=True, kw_only=True):
    """Accuracy with its two-sided 95 % interval, and the drops with their one-sided 95 % bounds."""

    low: float
    high: float
    drop_bound: float
    worst_slice: str = ""
    worst_slice_rows: int = 0
    worst_slice_drop: float = 0.0
    worst_slice_bound: float = 0.0


class FrontReport(Struct, frozen=True, kw_only=True):
    """Where a published variant stands: on the front or beaten, and in which figures nothing is better."""

    front: bool
    beaten_by: tuple[str, ...]
    wins: tuple[str, ...]


class VariantReport(Struct, frozen=True, kw_only=True):
    """One recipe. `evidence` is absent when it did not get as far; `reason` is empty when it was published.

    Without labels `accuracy` is absent, and so are the figures of accuracy in `evidence` meaningless; `over_float` is
    latency over that of the float variant of the same runtime, timed in turn, 0 where there is none.
    """

    id: str
    published: bool
    reason: str
    size_bytes: int
    build_s: float
    gates: tuple[GateResult, ...]
    evidence: VariantEvidence | None = None
    ram_mb: int = 0
    resolved: str = ""
    float_layers: tuple[str, ...] = ()
    int4_layers: tuple[str, ...] = ()
    search_complete: bool = True
    accuracy: AccuracyReport | None = None
    agreement_bound: float = 0.0
    latency_ms: float = 0.0
    over_float: float = 0.0
    standing: FrontReport | None = None
    targets: tuple[TargetVerdict, ...] = ()
    archs: tuple[str, ...] = ()
    golden_tolerance: float = 0.0
    golden_agreement: float = 0.0


class SearchReport(Struct, frozen=True, kw_only=True):
    """What was tried to find the best plan for one runtime, in that order."""

    runtime: Runtime
    trials: tuple[SearchTrial, ...]


class ConversionReport(Struct, frozen=True, kw_only=True):
    """`report.json`. `float_accuracy` is the source model's on the same held-out rows; it needs labels.

    `classes` False: the outputs are not class scores, so that there is no agreement either.
    """

    schema: int = 2
    model: str
    candidate_created_at: UtcTime
    override: str
    labelled: bool = True
    classes: bool = True
    float_accuracy: float
    holdout_rows: int
    calibration_rows: int
    selection_rows: int = 0
    golden_rows: int
    targets: tuple[str, ...] = ()
    variants: tuple[VariantReport, ...]
    search: tuple[SearchReport, ...] = ()
    stages: tuple[StageTime, ...]
    remarks: tuple[str, ...] = ()


def evidence(trial: Trial) -> VariantEvidence | None:
    """The figures of a trial in the contract's form; None when it did not give scores. What was not measured is 0."""
    parity, proof = trial.parity, trial.proof
    if parity is None or proof is None:
        return None
    return VariantEvidence(
        sample_count=parity.sample_count,
        accuracy=parity.accuracy.share if parity.accuracy else 0.0,
        accuracy_drop=parity.accuracy.drop.drop if parity.accuracy else 0.0,
        top1_agreement=parity.agreement.share if parity.agreement else 0.0,
        max_abs_error=parity.max_abs_error,
        mean_abs_error=parity.mean_abs_error,
        sqnr_db=parity.sqnr_db,
        latency_p50_ms=proof.latency_p50_ms,
        latency_p95_ms=proof.latency_p95_ms,
        host_rss_mb=proof.rss_mb,
    )


def variant_reports(trials: Sequence[Trial]) -> tuple[VariantReport, ...]:
    """One report for each trial, in the order given."""
    whole = {trial.build.recipe.runtime: trial for trial in trials if trial.build.recipe.exact and trial.parity}
    return tuple(_variant_report(trial, whole.get(trial.build.recipe.runtime)) for trial in trials)


def _variant_report(trial: Trial, whole: Trial | None) -> VariantReport:
    build, figures, standing = trial.build, figures_of(trial, whole), trial.standing
    accuracy = trial.parity.accuracy if trial.parity else None
    agreement = trial.parity.agreement if trial.parity else None
    return VariantReport(
        id=trial.name,
        published=trial.passed,
        reason=trial.reason,
        size_bytes=trial.size_bytes,
        build_s=build.duration_s,
        gates=trial.gates,
        evidence=evidence(trial),
        ram_mb=int(figures.ram_mb) if figures else 0,
        resolved=build.resolved,
        float_layers=build.float_layers,
        int4_layers=build.int4_layers,
        search_complete=build.search_complete,
        accuracy=_accuracy_report(accuracy) if accuracy else None,
        agreement_bound=agreement.bound if agreement else 0.0,
        latency_ms=_number(figures.side_by_side_p50_ms) if figures else 0.0,
        over_float=_number(latency_ratio(figures)) if figures else 0.0,
        standing=FrontReport(front=standing.front, beaten_by=standing.beaten_by, wins=standing.wins)
        if standing
        else None,
        targets=trial.targets,
        archs=trial.archs,
        golden_tolerance=trial.golden_tolerance,
        golden_agreement=trial.golden_agreement,
    )


def _accuracy_report(accuracy: Accuracy) -> AccuracyReport:
    worst = accuracy.worst_slice
    return AccuracyReport(
        low=accuracy.low,
        high=accuracy.high,
        drop_bound=accuracy.drop.bound,
        worst_slice=worst.name if worst else "",
        worst_slice_rows=worst.sample_count if worst else 0,
        worst_slice_drop=worst.drop if worst else 0.0,
        worst_slice_bound=worst.bound if worst else 0.0,
    )


def _number(value: float) -> float:
    """0 in place of NaN, which JSON does not have."""
    return 0.0 if isnan(value) else value


def search_reports(records: Path) -> tuple[SearchReport, ...]:
    """What is on record of the searches whose files' names begin with `records`."""
    paths: Mapping[Runtime, Path] = {runtime: trial_record(records, runtime) for runtime in Runtime}
    found = {runtime: tuple(read_trials(path)) for runtime, path in paths.items()}
    return tuple(SearchReport(runtime=runtime, trials=trials) for runtime, trials in found.items() if trials)


def trial_record(records: Path, runtime: Runtime) -> Path:
    """The file in which the search for one runtime keeps its trials."""
    return records.with_name(f"{records.name}-{runtime}.jsonl")


def slow_remarks(trials: Iterable[Trial], variants: Iterable[VariantReport]) -> list[str]:
    """What to say of published variants in integers that are slower than float, which no target was there to refuse."""
    integers = {trial.name for trial in trials if in_integers(trial.build.recipe) and not trial.targets}
    return [
        f"{each.id} takes {each.over_float:.2f} times as long as the float variant on this machine; it is published "
        "all the same, since no --target says for which devices"
        for each in variants
        if each.published and each.id in integers and each.over_float > 1.0 + SLOWER_MARGIN
    ]
