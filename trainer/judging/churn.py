"""What changes for users when a candidate takes over: rows decided otherwise, and right answers that are lost.

Rules: pure. Two models of equal accuracy can disagree on many rows, and each of them is a surprise for somebody.
Source: Milani Fard et al. 2016, "Launch and Iterate: Reducing Prediction Churn", section 2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def changed_decisions(
    first_BK: NDArray[np.float32],
    second_BK: NDArray[np.float32],
    first_labels: Sequence[str] = (),
    second_labels: Sequence[str] = (),
) -> NDArray[np.bool_]:
    """Which rows (B) the two models decide differently; classes are compared by name where names are given.

    A model whose scores for a row are not finite decides nothing, which differs from everything.
    """
    first_B, second_B = _decisions(first_BK), _decisions(second_BK)
    differs_B = _named(first_B, first_labels) != _named(second_B, second_labels)
    changed_B: NDArray[np.bool_] = differs_B | (first_B < 0) | (second_B < 0)
    return changed_B


def _decisions(scores_BK: NDArray[np.float32]) -> NDArray[np.int64]:
    """The index of each row's class, -1 where its scores are not finite."""
    finite_B = np.isfinite(scores_BK).all(axis=1)
    return np.where(finite_B, np.nan_to_num(scores_BK).argmax(axis=1), -1).astype(np.int64)


def _named(decided_B: NDArray[np.int64], labels: Sequence[str]) -> NDArray[np.str_]:
    return np.asarray([*labels, ""])[decided_B] if labels else decided_B.astype(np.str_)
