"""Whether confidence means what it says: the reliability curve with intervals, and the confusion of classes.

Rules: pure numpy. A row whose scores are not all finite has confidence 0 and counts as wrong. Legend: B rows,
K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from trainer.judging.evaluate import CALIBRATION_BINS, correct_rows, wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Labels


class ReliabilityBin(Struct, frozen=True, kw_only=True):
    """Rows whose confidence is in [low, high): mean confidence, accuracy, and its 95 % Wilson interval."""

    low: float
    high: float
    sample_count: int
    confidence: float
    accuracy: float
    accuracy_low: float
    accuracy_high: float

    @property
    def is_off(self) -> bool:
        """Whether the mean confidence is outside the interval of the accuracy."""
        return not self.accuracy_low <= self.confidence <= self.accuracy_high


def reliability_curve(
    scores_BK: NDArray[np.float32], labels_B: Labels, *, bins: int = CALIBRATION_BINS
) -> tuple[ReliabilityBin, ...]:
    """Equal bins of confidence, ascending, without empty ones. Source: Guo et al. 2017, section 2."""
    finite_B = np.isfinite(scores_BK).all(axis=1)
    confidence_B = np.where(finite_B, np.clip(np.nan_to_num(scores_BK).max(axis=1), 0.0, 1.0), 0.0)
    correct_B = correct_rows(scores_BK, labels_B)
    bin_B = np.minimum((confidence_B * bins).astype(np.intp), bins - 1)
    return tuple(
        _bin(number, bins, confidence_B[bin_B == number], correct_B[bin_B == number])
        for number in range(bins)
        if (bin_B == number).any()
    )


def _bin(number: int, bins: int, confidence_B: NDArray[np.float32], correct_B: NDArray[np.bool_]) -> ReliabilityBin:
    low, high = wilson_interval(int(correct_B.sum()), len(correct_B))
    return ReliabilityBin(
        low=number / bins,
        high=(number + 1) / bins,
        sample_count=len(correct_B),
        confidence=float(confidence_B.mean()),
        accuracy=float(correct_B.mean()),
        accuracy_low=low,
        accuracy_high=high,
    )


def confusion_counts(scores_BK: NDArray[np.float32], labels_B: Labels) -> NDArray[np.int64]:
    """How many rows of class i (rows of the matrix, KK) got class j; rows without finite scores are left out."""
    class_count = scores_BK.shape[1]
    finite_B = np.isfinite(scores_BK).all(axis=1)
    decided_B = scores_BK[finite_B].argmax(axis=1)
    cells_B = labels_B[finite_B] * class_count + decided_B
    return np.bincount(cells_B, minlength=class_count**2).reshape(class_count, class_count).astype(np.int64)
