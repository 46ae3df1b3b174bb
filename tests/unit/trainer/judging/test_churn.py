"""Rows that two models decide differently."""

from __future__ import annotations

import numpy as np

from trainer.judging.churn import changed_decisions


def scores(*tops: int, classes: int = 3) -> np.ndarray:
    """Scores that are sure of each row's class."""
    return np.eye(classes, dtype=np.float32)[list(tops)]


def test_equal_decisions_are_no_churn_whatever_the_scores() -> None:
    """Only the class on top counts."""
    assert not changed_decisions(scores(0, 1, 2), scores(0, 1, 2) * np.float32(0.4)).any()


def test_classes_are_compared_by_name_where_their_order_differs() -> None:
    """The champion's second class may be the candidate's first; a class that one does not know differs."""
    changed_B = changed_decisions(scores(0, 1, 2), scores(1, 0, 1), ("cat", "dog", "owl"), ("dog", "cat", "fox"))
    assert changed_B.tolist() == [False, False, True]


def test_a_model_that_decides_nothing_differs_from_everything() -> None:
    """NaN on both sides is not agreement."""
    broken = scores(0, 1)
    broken[0, 2] = np.nan
    assert changed_decisions(broken, broken).tolist() == [True, False]
    assert changed_decisions(broken, broken, "abc", "abc").tolist() == [True, False]
