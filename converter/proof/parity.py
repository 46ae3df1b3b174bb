"""How near a variant's scores are to the float model's, on the same held-out rows. Pure. Legend: B rows, K classes.

A row agrees when the class that the variant chose is one that the float model holds to be best, where scores of the
float model that differ by at most TIE count as equal. Accuracy is strict: the first highest score is the answer.
A model whose outputs are not class scores has neither; rows without labels have no accuracy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.proof.intervals import drop_at_most, share_at_least, share_interval
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

TIE: Final = 1e-5
MAX_SQNR_DB: Final = 300.0
"""What identical scores are said to have."""
MIN_SLICE_ROWS: Final = 20
"""Below this one row moves a slice's accuracy by more than the usual gate allows, so the slice says nothing."""


@dataclass(frozen=True, slots=True)
class Drop:
    """Float accuracy minus variant accuracy on some rows, as a fraction; `bound` is its one-sided 95 % upper bound."""

    name: str
    sample_count: int
    drop: float
    bound: float


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The variant's accuracy with its two-sided 95 % interval, and what it lost: overall, and in each slice."""

    share: float
    low: float
    high: float
    drop: Drop
    slices: tuple[Drop, ...]

    @property
    def worst_slice(self) -> Drop | None:
        """The slice that lost most; None where no slice is large enough."""
        return max(self.slices, key=lambda each: each.drop, default=None)


@dataclass(frozen=True, slots=True)
class Agreement:
    """The share of rows that agree, and its one-sided 95 % lower bound."""

    share: float
    bound: float


@dataclass(frozen=True, slots=True)
class Parity:
    """Figures of one variant; errors are over all scores.

    `agreement` is None for a model without classes, `accuracy` besides where there are no labels.
    """

    sample_count: int
    max_abs_error: float
    mean_abs_error: float
    sqnr_db: float
    agreement: Agreement | None
    accuracy: Accuracy | None


def slices_of(
    labels_B: NDArray[np.int64] | None, slices_B: NDArray[np.str_], names: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """The rows of each slice that is large enough: those the data name, and one per class where there are labels."""
    groups = {f"slice {name}": slices_B == name for name in sorted(set(slices_B.tolist())) if name}
    if labels_B is not None:
        groups.update({f"class {name}": labels_B == index for index, name in enumerate(names)})
    return {name: rows_B for name, rows_B in groups.items() if int(rows_B.sum()) >= MIN_SLICE_ROWS}


def compare(
    scores_BK: NDArray[np.float32],
    reference_BK: NDArray[np.float32],
    labels_B: NDArray[np.int64] | None,
    slices: Mapping[str, NDArray[np.bool_]],
    *,
    classes: bool = True,
) -> Parity:
    """The figures; `scores_BK` must be finite. `classes` False: the outputs are not class scores.

    Raises:
        ContractError: the scores have another shape than the reference, or there is no row.
    """
    if scores_BK.shape != reference_BK.shape or not len(scores_BK):
        raise ContractError.mismatch("scores of the variant", got=scores_BK.shape, expected=reference_BK.shape)
    error_BK = np.abs(scores_BK.astype(np.float64) - reference_BK.astype(np.float64))
    labelled = classes and labels_B is not None
    return Parity(
        sample_count=len(scores_BK),
        max_abs_error=float(error_BK.max()),
        mean_abs_error=float(error_BK.mean()),
        sqnr_db=sqnr_db(scores_BK, reference_BK),
        agreement=_agreement(scores_BK, reference_BK) if classes else None,
        accuracy=_accuracy(scores_BK.argmax(1) == labels_B, reference_BK.argmax(1) == labels_B, slices)
        if labelled
        else None,
    )


def agreement(scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]) -> float:
    """The share of rows that agree, as the head of this module says."""
    return float(_agreeing(scores_BK, reference_BK).mean())


def constant(scores_BK: NDArray[np.float32]) -> bool:
    """Whether every row got the same scores, which no working model gives to different inputs."""
    return bool((scores_BK == scores_BK[:1]).all())


def sqnr_db(scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]) -> float:
    """Signal to quantization noise over all scores, in dB."""
    reference = reference_BK.astype(np.float64)
    noise = float(((scores_BK.astype(np.float64) - reference) ** 2).sum())
    power = float((reference**2).sum())
    if noise == 0.0:
        return MAX_SQNR_DB
    if power == 0.0:
        return 0.0
    return min(MAX_SQNR_DB, float(10.0 * np.log10(power / noise)))


def _agreeing(scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]) -> NDArray[np.bool_]:
    chosen_B = np.take_along_axis(reference_BK, scores_BK.argmax(1)[:, None], axis=1)[:, 0]
    agreeing_B: NDArray[np.bool_] = chosen_B >= reference_BK.max(1) - TIE
    return agreeing_B


def _agreement(scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]) -> Agreement:
    agreeing_B = _agreeing(scores_BK, reference_BK)
    return Agreement(float(agreeing_B.mean()), share_at_least(int(agreeing_B.sum()), len(agreeing_B)))


def _accuracy(
    right_B: NDArray[np.bool_], reference_right_B: NDArray[np.bool_], slices: Mapping[str, NDArray[np.bool_]]
) -> Accuracy:
    low, high = share_interval(int(right_B.sum()), len(right_B))
    return Accuracy(
        share=float(right_B.mean()),
        low=low,
        high=high,
        drop=_drop("all", right_B, reference_right_B),
        slices=tuple(_drop(name, right_B[rows_B], reference_right_B[rows_B]) for name, rows_B in slices.items()),
    )


def _drop(name: str, right_B: NDArray[np.bool_], reference_right_B: NDArray[np.bool_]) -> Drop:
    lost, gained = int((reference_right_B & ~right_B).sum()), int((right_B & ~reference_right_B).sum())
    count = len(right_B)
    return Drop(name, count, (lost - gained) / count, drop_at_most(lost, gained, count))
