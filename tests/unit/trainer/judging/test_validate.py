"""The verdict: each gate can say no, and the comparison with a champion is paired and exact."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
from scipy.stats import binomtest

from fleet_contract.errors import ModelError
from trainer.judging.evaluate import evaluate
from trainer.judging.validate import Champion, Judged, PairedTest, compare, validate
from trainer.settings import ValidateSection

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("a", "b")
LENIENT = ValidateSection(min_accuracy=0.0, min_gain_over_baseline=0.0)


def judge(right_B: NDArray[np.bool_], *, share: float = 0.5) -> Judged:
    """A candidate that is right on these rows; `share` of the labels are 0."""
    count = len(right_B)
    labels_B = (np.arange(count) >= share * count).astype(np.int64)
    scores_BK = one_hot(np.where(right_B, labels_B, 1 - labels_B))
    evaluation = evaluate(scores_BK, labels_B, NAMES, np.full(count, ""))
    return Judged(scores_BK, labels_B, NAMES, train_labels_B=labels_B, evaluation=evaluation)


def one_hot(top_B: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores that are sure of `top_B`."""
    return np.eye(2, dtype=np.float32)[top_B] * np.float32(0.98) + np.float32(0.01)


def failed(judged: Judged, settings: ValidateSection, paired: PairedTest | None = None) -> list[str]:
    """Names of the gates that said no."""
    verdict = validate(judged, settings, paired)
    names = [gate.gate for gate in verdict.gates if not gate.passed]
    assert verdict.passed == (not names)
    return names


def test_a_gain_that_nobody_can_reach_is_told() -> None:
    """Where 95 of 100 rows are of one class, 20 points cannot be gained."""
    verdict = validate(judge(RIGHT_90, share=0.95), ValidateSection(min_accuracy=0.0, min_gain_over_baseline=0.2), None)
    (detail,) = [gate.detail for gate in verdict.gates if gate.gate == "min-gain-over-baseline"]
    assert detail.endswith("so that no model gains more than 0.0500")


RIGHT_90 = np.arange(100) % 10 != 0


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"min_accuracy": 0.91}, "min-accuracy"),
        ({"min_gain_over_baseline": 0.41}, "min-gain-over-baseline"),
        ({"min_slice_accuracy": 0.91}, "worst-slice"),
        ({"min_class_recall": 0.91}, "min-class-recall"),
        ({"max_calibration_error": 0.01}, "max-calibration-error"),
    ],
)
def test_a_threshold_out_of_reach_fails_its_gate_alone(change: dict[str, float], gate: str) -> None:
    """A candidate of 90 % passes lenient gates and fails the one that asks for more."""
    judged = judge(RIGHT_90)
    assert failed(judged, LENIENT) == []
    assert failed(judged, msgspec.structs.replace(LENIENT, **change)) == [gate]


def test_one_nan_fails_the_verdict() -> None:
    """A model that answers NaN once is not released, whatever its accuracy."""
    judged = judge(RIGHT_90)
    judged.scores_BK[7, 0] = np.nan
    assert failed(judged, LENIENT) == ["finite-scores"]


def test_the_worst_slice_counts_only_when_it_is_large_enough() -> None:
    """Five rows of a class prove nothing; fifty do."""
    judged = judge(np.arange(100) >= 5, share=0.05)
    strict = msgspec.structs.replace(LENIENT, min_slice_accuracy=0.5, min_gain_over_baseline=0.0)
    assert failed(judged, strict) == []
    assert failed(judged, msgspec.structs.replace(strict, min_slice_samples=5)) == ["worst-slice"]


def test_the_recall_of_a_rare_class_counts_only_when_it_has_rows_enough() -> None:
    """Five missed rows of a class prove nothing unless the project says so; the gate names class, interval and rows."""
    judged = judge(np.arange(100) >= 5, share=0.05)
    strict = msgspec.structs.replace(LENIENT, min_class_recall=0.5)
    assert failed(judged, strict) == []
    few = msgspec.structs.replace(strict, min_slice_samples=5)
    assert failed(judged, few) == ["min-class-recall"]
    (detail,) = [gate.detail for gate in validate(judged, few, None).gates if gate.gate == "min-class-recall"]
    assert detail.startswith("recall of class 'a' with 5 rows, 95 % interval 0.0000 to 0.4345; 2 of 2 classes")
    none_large = msgspec.structs.replace(strict, min_slice_samples=200)
    assert failed(judged, none_large) == []


def test_a_champion_that_is_clearly_better_fails_both_of_its_gates() -> None:
    """Ten rows lost and none won is beyond chance and beyond the allowed regression."""
    judged = judge(RIGHT_90)
    champion = Champion(3, lambda raw_B: one_hot(judged.labels_B[: len(raw_B)]))
    paired = compare(champion, np.zeros((100, 1)), judged)
    assert (paired.only_champion, paired.only_candidate, paired.regression) == (10, 0, 0.1)
    assert failed(judged, LENIENT, paired) == ["max-champion-regression", "not-worse-than-champion"]


def test_the_paired_test_is_exact() -> None:
    """The p value is the binomial one on the discordant pairs; without any it is 1."""
    assert PairedTest(4, 9, 500).p_worse == pytest.approx(binomtest(9, 13, 0.5, alternative="greater").pvalue)
    assert PairedTest(0, 0, 500).p_worse == 1.0


def test_a_champion_is_compared_by_names_of_labels() -> None:
    """A champion whose labels stand in another order, or lack a class, is judged by what it means."""
    judged = judge(np.ones(100, np.bool_))
    swapped = Champion(1, lambda _: one_hot(1 - judged.labels_B), labels=("b", "a"))
    assert compare(swapped, np.zeros((100, 1)), judged).only_candidate == 0
    other = Champion(1, lambda _: one_hot(judged.labels_B), labels=("a", "z"))
    assert compare(other, np.zeros((100, 1)), judged).only_candidate == 50


def test_a_champion_with_scores_of_another_form_is_refused() -> None:
    """Comparison never guesses."""
    with pytest.raises(ModelError, match="champion v1: got scores"):
        compare(Champion(1, lambda _: np.zeros((100, 3))), np.zeros((100, 1)), judge(RIGHT_90))
