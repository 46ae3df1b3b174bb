"""How good a model is at each class: recall with its interval, precision and F1, and their means over classes.

Rules: pure numpy. A row whose scores are not all finite counts as missed, and as no class's decision. A class that has
no rows counts in no mean of recalls, and in that of F1 where it is decided for all the same: as scikit-learn does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from trainer.judging.calibration import confusion_counts
from trainer.judging.evaluate import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels


class ClassFigures(Struct, frozen=True, kw_only=True):
    """One class: recall over its `sample_count` rows with the 95 % Wilson interval; all 0 where it has none."""

    name: str
    sample_count: int
    decided_count: int
    """Rows of any class that the model took for this one."""
    recall: float
    low: float
    high: float
    precision: float
    f1: float


def class_figures(
    scores_BK: NDArray[np.float32], labels_B: Labels, label_names: tuple[str, ...]
) -> tuple[ClassFigures, ...]:
    """The figures of each class, in the order of `label_names`."""
    confusion_KK = confusion_counts(scores_BK, labels_B)
    right_K, decided_K = confusion_KK.diagonal(), confusion_KK.sum(axis=0)
    count_K = np.bincount(labels_B, minlength=len(label_names))
    columns = zip(label_names, count_K.tolist(), decided_K.tolist(), right_K.tolist(), strict=True)
    return tuple(_figures(*column) for column in columns)


def _figures(name: str, count: int, decided: int, right: int) -> ClassFigures:
    low, high = wilson_interval(right, count) if count else (0.0, 0.0)
    return ClassFigures(
        name=name,
        sample_count=count,
        decided_count=decided,
        recall=right / max(1, count),
        low=low,
        high=high,
        precision=right / max(1, decided),
        f1=2 * right / max(1, count + decided),
    )


def balanced_accuracy(classes: Sequence[ClassFigures]) -> float:
    """The mean recall of the classes that have rows."""
    return float(np.mean([one.recall for one in classes if one.sample_count]))


def macro_f1(classes: Sequence[ClassFigures]) -> float:
    """The mean F1 of the classes that have rows or are decided for."""
    return float(np.mean([one.f1 for one in classes if one.sample_count or one.decided_count]))
