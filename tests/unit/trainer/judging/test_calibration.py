"""Whether confidence means what it says."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.judging.calibration import confusion_counts, reliability_curve
from trainer.judging.evaluate import evaluate

RNG = np.random.default_rng(5)


def two_class(confidence_B: np.ndarray, right_B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Scores that put `confidence_B` on class 0, and labels that make `right_B` right."""
    scores_BK = np.stack([confidence_B, 1 - confidence_B], axis=1).astype(np.float32)
    return scores_BK, np.where(right_B, 0, 1)


def test_a_calibrated_model_is_on_the_diagonal_and_a_boastful_one_is_not() -> None:
    """Accuracy equal to confidence stays inside nearly all intervals; confidence 0.99 at accuracy 0.6 is off."""
    confidence_B = RNG.uniform(0.5, 1.0, 5000)
    honest = reliability_curve(*two_class(confidence_B, RNG.uniform(size=5000) < confidence_B))
    assert sum(each.is_off for each in honest) <= 2
    (boastful,) = reliability_curve(*two_class(np.full(500, 0.99), np.arange(500) < 300))
    assert boastful.is_off
    assert (boastful.sample_count, boastful.accuracy) == (500, 0.6)


def test_bins_weighted_by_rows_give_the_calibration_error() -> None:
    """The curve and the one figure agree."""
    confidence_B = RNG.uniform(0.5, 1.0, 400)
    scores_BK, labels_B = two_class(confidence_B, RNG.uniform(size=400) < 0.7)
    curve = reliability_curve(scores_BK, labels_B)
    error = sum(each.sample_count * abs(each.accuracy - each.confidence) for each in curve) / 400
    figure = evaluate(scores_BK, labels_B, ("a", "b"), np.full(400, "")).expected_calibration_error
    assert error == pytest.approx(figure, abs=1e-6)
    assert sum(each.sample_count for each in curve) == 400


def test_confusion_counts_truth_downwards_and_leaves_out_what_is_not_finite() -> None:
    """Row i, column j: rows of class i that got class j."""
    scores_BK = np.asarray([[0.9, 0.1], [0.2, 0.8], [0.3, 0.7], [np.nan, 0.5]], np.float32)
    assert confusion_counts(scores_BK, np.asarray([0, 0, 1, 1])).tolist() == [[1, 1], [0, 1]]
