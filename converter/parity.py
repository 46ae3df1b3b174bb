"""How near a variant's scores are to the float model's, on the same held-out rows. Pure. Legend: B rows, K classes.

A row agrees when the class that the variant chose is one that the float model holds to be best, where scores of the
float model that differ by at most TIE count as equal. Accuracy is strict: the first highest score is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

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
class SliceDrop:
    """The slice that lost most: float accuracy minus variant accuracy, as a fraction."""

    name: str
    sample_count: int
    drop: float


@dataclass(frozen=True, slots=True)
class Parity:
    """Figures of one variant. `worst_slice` is None where no slice is large enough."""

    sample_count: int
    accuracy: float
    accuracy_drop: float
    top1_agreement: float
    max_abs_error: float
    mean_abs_error: float
    sqnr_db: float
    worst_slice: SliceDrop | None


def slices_of(
    labels_B: NDArray[np.int64], slices_B: NDArray[np.str_], names: Sequence[str]
) -> dict[str, NDArray[np.bool_]]:
    """The rows of each slice that is large enough: those the data name, and one per class."""
    groups = {f"slice {name}": slices_B == name for name in sorted(set(slices_B.tolist())) if name}
    groups.update({f"class {name}": labels_B == index for index, name in enumerate(names)})
    return {name: rows_B for name, rows_B in groups.items() if int(rows_B.sum()) >= MIN_SLICE_ROWS}


def compare(
    scores_BK: NDArray[np.float32],
    reference_BK: NDArray[np.float32],
    labels_B: NDArray[np.int64],
    slices: Mapping[str, NDArray[np.bool_]],
) -> Parity:
    """The figures; `scores_BK` must be finite.

    Raises:
        ContractError: the scores have another shape than the reference.
    """
    if scores_BK.shape != reference_BK.shape:
        raise ContractError.mismatch("scores of the variant", got=scores_BK.shape, expected=reference_BK.shape)
    error_BK = scores_BK.astype(np.float64) - reference_BK.astype(np.float64)
    right_B, reference_right_B = scores_BK.argmax(1) == labels_B, reference_BK.argmax(1) == labels_B
    return Parity(
        sample_count=len(scores_BK),
        accuracy=float(right_B.mean()),
        accuracy_drop=float(reference_right_B.mean() - right_B.mean()),
        top1_agreement=float(agreement(scores_BK, reference_BK)),
        max_abs_error=float(np.abs(error_BK).max()),
        mean_abs_error=float(np.abs(error_BK).mean()),
        sqnr_db=sqnr_db(scores_BK, reference_BK),
        worst_slice=_worst_slice(right_B, reference_right_B, slices),
    )


def agreement(scores_BK: NDArray[np.float32], reference_BK: NDArray[np.float32]) -> float:
    """The share of rows that agree, as the head of this module says."""
    chosen_B = np.take_along_axis(reference_BK, scores_BK.argmax(1)[:, None], axis=1)[:, 0]
    return float((chosen_B >= reference_BK.max(1) - TIE).mean())


def constant(scores_BK: NDArray[np.float32]) -> bool:
    """Whether every row got the same scores, which no working classifier gives to different inputs."""
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


def _worst_slice(
    right_B: NDArray[np.bool_], reference_right_B: NDArray[np.bool_], slices: Mapping[str, NDArray[np.bool_]]
) -> SliceDrop | None:
    drops = [
        SliceDrop(name, int(rows_B.sum()), float(reference_right_B[rows_B].mean() - right_B[rows_B].mean()))
        for name, rows_B in slices.items()
    ]
    return max(drops, key=lambda each: each.drop, default=None)
