"""How good a model is: accuracy with intervals, overall and per slice, calibration and log loss.

Rules: pure numpy. A row whose scores are not all finite counts as wrong, with probability 0 for its label, so that a
broken model never looks good and every figure is finite. Legend: B rows, K classes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.release import Evaluation, SliceEvaluation
from trainer.data.dataset import FLEET_SLICE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Labels, Slices

CALIBRATION_BINS: Final = 15
Z_95: Final = 1.959963984540054
"""97.5 % point of the standard normal distribution."""
LEAST_PROBABILITY: Final = 1e-7


def evaluate(
    scores_BK: NDArray[np.float32], labels_B: Labels, label_names: tuple[str, ...], slices_B: Slices
) -> Evaluation:
    """The evaluation of `scores_BK` on labelled rows, at least one.

    Slices are those given; data without any (but for the fleet's) are sliced by class.
    """
    correct_B = correct_rows(scores_BK, labels_B)
    slices = [
        slice_accuracy(name, correct_B[rows_B])
        for name, rows_B in _slices(labels_B, label_names, slices_B)
        if rows_B.any()
    ]
    return Evaluation(
        overall=slice_accuracy("all", correct_B),
        slices=tuple(slices),
        expected_calibration_error=_calibration_error(_finite(scores_BK), correct_B),
        log_loss=_log_loss(_finite(scores_BK), labels_B),
    )


def correct_rows(scores_BK: NDArray[np.float32], labels_B: Labels) -> NDArray[np.bool_]:
    """Which rows have their label's class on top, all scores being finite."""
    correct_B: NDArray[np.bool_] = (_finite(scores_BK).argmax(axis=1) == labels_B) & np.isfinite(scores_BK).all(axis=1)
    return correct_B


def slice_accuracy(name: str, correct_B: NDArray[np.bool_]) -> SliceEvaluation:
    """Accuracy of the rows with its interval; `correct_B` has at least one row."""
    count = len(correct_B)
    low, high = wilson_interval(int(correct_B.sum()), count)
    return SliceEvaluation(name=name, sample_count=count, accuracy=float(correct_B.mean()), low=low, high=high)


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion. Source: Wilson 1927; Brown, Cai and DasGupta 2001, equation 4."""
    share = successes / count
    centre = share + Z_95**2 / (2 * count)
    half = Z_95 * math.sqrt(share * (1 - share) / count + Z_95**2 / (4 * count**2))
    scale = 1 + Z_95**2 / count
    low, high = (centre - half) / scale, (centre + half) / scale
    return max(0.0, min(low, share)), min(1.0, max(high, share))  # it holds the share, whatever rounding does


def _finite(scores_BK: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isfinite(scores_BK).all(axis=1, keepdims=True), scores_BK, np.float32(0.0))


def _slices(labels_B: Labels, label_names: tuple[str, ...], slices_B: Slices) -> list[tuple[str, NDArray[np.bool_]]]:
    given = sorted(set(slices_B.tolist()) - {"", FLEET_SLICE})
    named = [(name, slices_B == name) for name in given]
    if not named:
        named = [(f"class {name}", labels_B == index) for index, name in enumerate(label_names)]
    return [*named, (FLEET_SLICE, slices_B == FLEET_SLICE)]


def _calibration_error(scores_BK: NDArray[np.float32], correct_B: NDArray[np.bool_]) -> float:
    """Mean of |accuracy - confidence| over equal bins, weighted by rows. Source: Guo et al. 2017, equation 5."""
    confidence_B = np.clip(scores_BK.max(axis=1), 0.0, 1.0)
    bin_B = np.minimum((confidence_B * CALIBRATION_BINS).astype(np.intp), CALIBRATION_BINS - 1)
    gap = np.bincount(bin_B, correct_B - confidence_B, minlength=CALIBRATION_BINS)
    return float(np.abs(gap).sum() / len(correct_B))


def _log_loss(scores_BK: NDArray[np.float32], labels_B: Labels) -> float:
    probability_B = scores_BK[np.arange(len(labels_B)), labels_B].astype(np.float64)
    return float(-np.log(np.clip(probability_B, LEAST_PROBABILITY, 1.0)).mean())
