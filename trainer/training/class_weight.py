"""How much the rows of each class count in the loss: all the same, or so that each class counts the same.

Rules: pure. The rows are those of one epoch, so that fleet samples that it repeats count as often as it has them.
Legend: B rows, K classes.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Labels


class ClassWeight(StrEnum):
    """`[train] class_weight`."""

    NONE = "none"
    BALANCED = "balanced"
    """Rows / (classes * rows of the class); the mean over all rows is 1."""


def class_weights(kind: ClassWeight, labels_B: Labels, class_count: int) -> NDArray[np.float32] | None:
    """The weight of a row of each class (K), 0 for a class without rows; None where all count the same."""
    if kind is ClassWeight.NONE:
        return None
    counts_K = np.bincount(labels_B, minlength=class_count)
    present_K = counts_K > 0
    weights_K = len(labels_B) / (present_K.sum() * np.maximum(counts_K, 1))
    return np.where(present_K, weights_K, 0.0).astype(np.float32)
