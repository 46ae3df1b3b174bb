"""The verdict: every gate with what was measured, what was asked, and why.

Rules: pure. A gate passes only when its comparison is true, so a NaN never passes. All gates are judged, even after one
has failed, and the verdict is kept whichever way it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ModelError
from fleet_contract.release import Evaluation, GateResult, SliceEvaluation, Verdict
from trainer.judging.by_class import class_figures
from trainer.judging.churn import changed_decisions
from trainer.judging.evaluate import correct_rows
from trainer.judging.gate import at_least, at_most

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels, RawInputs
    from trainer.judging.baseline import SimpleModel
    from trainer.judging.by_class import ClassFigures
    from trainer.judging.user_tests import BehaviourResult
    from trainer.settings import ValidateSection
    from trainer.tuning.importance import PartImportance


@dataclass(frozen=True, slots=True)
class Champion:
    """The version in service: `scores` takes raw inputs (B first) and gives class scores (B, K).

    `labels` names its K columns; empty means the same labels as the candidate.
    """

    version: int
    scores: Callable[[NDArray[Any]], NDArray[Any]]
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judged:
    """What the gates look at: the candidate's test scores with the truth, and what else was tried on the test rows.

    `simple_models` are the better first; `behaviour` are the user's tests; `importances` are told and not gated.
    """

    scores_BK: NDArray[np.float32]
    labels_B: Labels
    label_names: tuple[str, ...]
    train_labels_B: Labels
    evaluation: Evaluation
    simple_models: tuple[SimpleModel, ...] = ()
    behaviour: tuple[BehaviourResult, ...] = ()
    importances: tuple[PartImportance, ...] = ()

    @property
    def classes(self) -> tuple[ClassFigures, ...]:
        """How good the candidate is at each class."""
        return class_figures(self.scores_BK, self.labels_B, self.label_names)


@dataclass(frozen=True, slots=True)
class PairedTest:
    """Champion and candidate on the same rows: how often only one of them was right, or they decided differently."""

    only_candidate: int
    only_champion: int
    row_count: int
    changed: int = 0

    @property
    def regression(self) -> float:
        """Champion's accuracy minus the candidate's."""
        return (self.only_champion - self.only_candidate) / self.row_count

    @property
    def p_worse(self) -> float:
        """How likely such a loss is when both are equally good: exact one-sided McNemar (sign) test.

        Source: McNemar 1947; the exact form is a binomial test on the discordant pairs.
        """
        from scipy.stats import binomtest

        discordant = self.only_candidate + self.only_champion
        if discordant == 0:
            return 1.0
        return float(binomtest(self.only_champion, discordant, 0.5, alternative="greater").pvalue)


def validate(judged: Judged, settings: ValidateSection, paired: PairedTest | None) -> Verdict:
    """The verdict of all gates; `paired` is None when there is no champion yet."""
    gates = [
        _finite_gate(judged),
        _accuracy_gate(judged, settings),
        _baseline_gate(judged, settings),
        *([_simple_model_gate(judged, settings)] if judged.simple_models else []),
        _slice_gate(judged, settings),
        _gap_gate(judged, settings),
        _recall_gate(judged, settings),
        _calibration_gate(judged, settings),
        *(result.gate for result in judged.behaviour),
        *([] if paired is None else _champion_gates(paired, settings)),
    ]
    return Verdict(passed=all(gate.passed for gate in gates), gates=tuple(gates))


def compare(champion: Champion, raw_B: RawInputs, judged: Judged) -> PairedTest:
    """Runs the champion on the candidate's own test rows.

    Raises:
        ModelError: its scores do not fit its labels.
    """
    labels = champion.labels or judged.label_names
    scores_BK = np.asarray(champion.scores(raw_B), np.float32)
    if scores_BK.shape != (len(raw_B), len(labels)):
        raise ModelError(
            f"champion v{champion.version}: got scores {list(scores_BK.shape)}, expected {[len(raw_B), len(labels)]}"
        )
    index = {name: number for number, name in enumerate(labels)}
    truth_B = np.asarray([index.get(name, -1) for name in judged.label_names], np.int64)[judged.labels_B]
    champion_B = correct_rows(scores_BK, truth_B)
    candidate_B = correct_rows(judged.scores_BK, judged.labels_B)
    return PairedTest(
        only_candidate=int((candidate_B & ~champion_B).sum()),
        only_champion=int((champion_B & ~candidate_B).sum()),
        row_count=len(raw_B),
        changed=int(changed_decisions(judged.scores_BK, scores_BK, judged.label_names, labels).sum()),
    )


def _finite_gate(judged: Judged) -> GateResult:
    bad = int((~np.isfinite(judged.scores_BK)).any(axis=1).sum())
    return GateResult(
        gate="finite-scores",
        passed=bad == 0,
        measured=float(bad),
        threshold=0.0,
        detail=f"{bad} of {len(judged.scores_BK)} test rows have a score that is NaN or infinite",
    )


def _accuracy_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    overall = judged.evaluation.overall
    return at_least(
        "min-accuracy",
        overall.accuracy,
        settings.min_accuracy,
        f"test accuracy, 95 % interval {overall.low:.4f} to {overall.high:.4f} on {overall.sample_count} rows",
    )


def _baseline_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    majority = int(np.bincount(judged.train_labels_B).argmax())
    baseline = float((judged.labels_B == majority).mean())
    out_of_reach = baseline + settings.min_gain_over_baseline > 1.0
    return at_least(
        "min-gain-over-baseline",
        judged.evaluation.overall.accuracy - baseline,
        settings.min_gain_over_baseline,
        f"always answering {judged.label_names[majority]!r} gives {baseline:.4f}"
        + (f", so that no model gains more than {1.0 - baseline:.4f}" if out_of_reach else ""),
    )


def _simple_model_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    best = judged.simple_models[0]
    return at_least(
        "min-gain-over-simple-model",
        judged.evaluation.overall.accuracy - best.accuracy,
        settings.min_gain_over_simple_model,
        "; ".join(f"a {model.name} gives {model.accuracy:.4f}" for model in judged.simple_models),
    )


def _large_slices(judged: Judged, settings: ValidateSection) -> list[SliceEvaluation]:
    """Those with rows enough to be gated, the worst first; all rows where there are none."""
    large = [part for part in judged.evaluation.slices if part.sample_count >= settings.min_slice_samples]
    return sorted(large or [judged.evaluation.overall], key=lambda part: part.accuracy)


def _gap_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    large = _large_slices(judged, settings)
    worst, best = large[0], large[-1]
    return at_most(
        "max-slice-gap",
        best.accuracy - worst.accuracy,
        settings.max_slice_gap,
        f"slice {best.name!r} has {best.accuracy:.4f}, slice {worst.name!r} {worst.accuracy:.4f}",
    )


def _slice_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    large = _large_slices(judged, settings)
    worst = large[0]
    return at_least(
        "worst-slice",
        worst.accuracy,
        settings.min_slice_accuracy,
        f"slice {worst.name!r} with {worst.sample_count} rows, of {len(large)} slices with at least "
        f"{settings.min_slice_samples}",
    )


def _recall_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    """The worst class of those with rows enough; the mean over all rows, which is the accuracy, where none has."""
    overall = judged.evaluation.overall
    present = [one for one in judged.classes if one.sample_count]
    large = [one for one in present if one.sample_count >= settings.min_slice_samples]
    worst = min(large, key=lambda one: one.recall, default=None)
    if worst is None:
        measured, low, high = overall.accuracy, overall.low, overall.high
        which = f"recall over all {overall.sample_count} rows"
    else:
        measured, low, high = worst.recall, worst.low, worst.high
        which = f"recall of class {worst.name!r} with {worst.sample_count} rows"
    return at_least(
        "min-class-recall",
        measured,
        settings.min_class_recall,
        f"{which}, 95 % interval {low:.4f} to {high:.4f}; {len(large)} of {len(present)} classes have at least "
        f"{settings.min_slice_samples}",
    )


def _calibration_gate(judged: Judged, settings: ValidateSection) -> GateResult:
    error = judged.evaluation.expected_calibration_error
    return at_most("max-calibration-error", error, settings.max_calibration_error, "expected calibration error")


def _champion_gates(paired: PairedTest, settings: ValidateSection) -> list[GateResult]:
    counts = (
        f"of {paired.row_count} test rows only the candidate is right on {paired.only_candidate}, "
        f"only the champion on {paired.only_champion}"
    )
    return [
        at_most("max-champion-regression", paired.regression, settings.max_champion_regression, counts),
        at_least(
            "not-worse-than-champion",
            paired.p_worse,
            settings.champion_alpha,
            f"p of the exact one-sided McNemar test; {counts}",
        ),
        at_most(
            "max-churn",
            paired.changed / paired.row_count,
            settings.max_churn,
            f"{paired.changed} of {paired.row_count} test rows are decided differently",
        ),
        at_most("max-lost", paired.only_champion / paired.row_count, settings.max_lost, counts),
    ]
