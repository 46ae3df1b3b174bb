"""Figures of merit against known values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from trainer.judging.evaluate import evaluate, wilson_interval

NAMES = ("a", "b")
SCORES = np.asarray([[0.9, 0.1], [0.8, 0.2], [0.4, 0.6], [0.7, 0.3]], np.float32)
TRUTH = np.asarray([0, 0, 1, 1])
NONE = np.asarray([""] * 4)


@pytest.mark.parametrize(("successes", "count"), [(0, 5), (5, 5), (3, 10), (970, 1000)])
def test_wilson_agrees_with_scipy(successes: int, count: int) -> None:
    """The interval is the one that scipy computes."""
    expected = binomtest(successes, count).proportion_ci(0.95, method="wilson")
    assert wilson_interval(successes, count) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_interval_holds_the_share_in_every_bit() -> None:
    """All right or all wrong is its own end of the interval: a page that draws the difference needs it not negative."""
    for count in range(1, 400):
        for successes in (0, 1, count - 1, count):
            low, high = wilson_interval(successes, count)
            assert 0.0 <= low <= successes / count <= high <= 1.0


def test_accuracy_calibration_and_loss() -> None:
    """Three of four right; the bins of the confidences and the loss worked out by hand."""
    result = evaluate(SCORES, TRUTH, NAMES, NONE)
    assert result.overall.accuracy == 0.75
    assert result.expected_calibration_error == pytest.approx((0.1 + 0.2 + 0.4 + 0.7) / 4, abs=1e-6)
    assert result.log_loss == pytest.approx(-np.log([0.9, 0.8, 0.6, 0.3]).mean(), abs=1e-6)


def test_slices_are_classes_unless_given() -> None:
    """Given slices take the place of classes; the fleet's stands beside either."""
    by_class = evaluate(SCORES, TRUTH, NAMES, np.asarray(["", "", "", "fleet"]))
    assert [(part.name, part.accuracy) for part in by_class.slices] == [
        ("class a", 1.0),
        ("class b", 0.5),
        ("fleet", 0.0),
    ]
    given = evaluate(SCORES, TRUTH, NAMES, np.asarray(["x", "y", "y", ""]))
    assert [(part.name, part.sample_count) for part in given.slices] == [("x", 1), ("y", 2)]


def test_scores_that_are_not_finite_are_wrong_and_leave_figures_finite() -> None:
    """NaN never counts as right, not even where argmax would name the class."""
    broken = SCORES.copy()
    broken[0] = np.nan
    broken[2, 1] = np.inf
    result = evaluate(broken, TRUTH, NAMES, NONE)
    assert result.overall.accuracy == 0.25
    assert np.isfinite([result.expected_calibration_error, result.log_loss]).all()
    assert result.log_loss > 8.0
