"""Figures of classes against scikit-learn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, f1_score, precision_recall_fscore_support

from trainer.judging.by_class import balanced_accuracy, class_figures, macro_f1
from trainer.judging.evaluate import wilson_interval

if TYPE_CHECKING:
    from numpy.typing import NDArray

NAMES = ("a", "b", "c", "d")


def scores(decided_B: NDArray[np.int64]) -> NDArray[np.float32]:
    """Scores that are sure of these classes."""
    return np.eye(len(NAMES), dtype=np.float32)[decided_B]


def test_figures_of_classes_are_those_of_scikit_learn() -> None:
    """Recall, precision, F1 and both means; class c has no rows and is decided for, class d neither."""
    rng = np.random.default_rng(0)
    labels_B, decided_B = rng.integers(0, 2, 200), rng.integers(0, 3, 200)
    found = class_figures(scores(decided_B), labels_B, NAMES)
    precision_K, recall_K, f1_K, count_K = precision_recall_fscore_support(
        labels_B, decided_B, labels=range(4), zero_division=0.0
    )
    assert [one.precision for one in found] == pytest.approx(precision_K)
    assert [one.recall for one in found] == pytest.approx(recall_K)
    assert [one.f1 for one in found] == pytest.approx(f1_K)
    assert [one.sample_count for one in found] == count_K.tolist()
    assert (found[0].low, found[0].high) == wilson_interval(round(found[0].recall * count_K[0]), count_K[0])
    assert balanced_accuracy(found) == pytest.approx(recall_K[:2].mean())
    assert macro_f1(found) == pytest.approx(f1_score(labels_B, decided_B, average="macro"))
    same = class_figures(scores(labels_B), labels_B, NAMES)
    assert balanced_accuracy(same) == balanced_accuracy_score(labels_B, labels_B) == macro_f1(same) == 1.0


def test_a_row_without_finite_scores_is_missed_and_decides_for_no_class() -> None:
    """NaN lowers the recall of its class and the precision of none."""
    labels_B = np.asarray([0, 0, 1, 1])
    broken_BK = scores(labels_B)
    broken_BK[0, 3] = np.nan
    first, second, *_ = class_figures(broken_BK, labels_B, NAMES)
    assert (first.recall, first.precision) == (0.5, 1.0)
    assert (second.recall, second.precision) == (1.0, 1.0)
