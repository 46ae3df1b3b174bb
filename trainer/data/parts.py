"""The parts of a split, and what was taken out of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset, Indices


@dataclass(frozen=True, slots=True)
class Split:
    """Row indices of each part, ascending; no row is in two."""

    train_I: Indices
    validation_I: Indices
    test_I: Indices

    def held_out(self) -> Indices:
        """Rows that a model is not trained on."""
        return np.concatenate([self.validation_I, self.test_I])

    def rows_where(self, mask_B: NDArray[np.bool_]) -> Split:
        """The split without rows that are not marked."""
        return Split(*(rows_I[mask_B[rows_I]] for rows_I in (self.train_I, self.validation_I, self.test_I)))


def absent_classes(data: Dataset, parts: Split) -> list[str]:
    """Classes about which validation or test will say nothing, in words."""
    return [
        f"{name}: no row of class {data.label_names[label]!r}"
        for name, rows_I in (("validation", parts.validation_I), ("test", parts.test_I))
        for label in np.setdiff1d(data.labels_B, data.labels_B[rows_I]).tolist()
    ]


@dataclass(frozen=True, slots=True)
class Removed:
    """How many rows were taken out because held-out rows are equal to them, or all but equal."""

    copies: int = 0
    near: int = 0

    def figures(self) -> dict[str, int]:
        """What lineage records; empty where nothing was taken out."""
        return {name: count for name, count in (("copies", self.copies), ("near_duplicates", self.near)) if count}


NOTHING_REMOVED: Final = Removed()
