"""Labelled data in memory: what every source gives and every stage takes.

Legend: B rows, I row indices. Labels are indices into `label_names`; a slice is a name, empty where a row has none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.release import Feature, ImageInput
    from trainer.data.places import Places

    RawInputs = NDArray[Any]
    Labels = NDArray[np.int64]
    Indices = NDArray[np.int64]
    Slices = NDArray[np.str_]
    Groups = NDArray[np.str_]
    Times = NDArray[np.float64]

FLEET_SLICE: Final = "fleet"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Raw inputs with labels; `source` says in words where they come from. Arrays are never changed in place.

    Tables have `features`, one for each element of an input in C order, with the vocabularies that gave its codes.
    Images have `images`: how their files became inputs.
    `groups_B` names what must not be torn apart by a split; `times_B` orders rows (Unix seconds where the source has
    dates). Both are None where the source has no such column. `places` tell where rows stand in the source's files.
    """

    inputs_B: RawInputs
    labels_B: Labels
    label_names: tuple[str, ...]
    slices_B: Slices
    source: str
    features: tuple[Feature, ...] = ()
    images: ImageInput | None = None
    groups_B: Groups | None = None
    times_B: Times | None = None
    places: Places | None = None

    def __len__(self) -> int:
        return len(self.labels_B)

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch axis."""
        return tuple(int(size) for size in self.inputs_B.shape[1:])

    @property
    def fleet_mask(self) -> NDArray[np.bool_]:
        """Which rows (B) were collected from the fleet."""
        mask: NDArray[np.bool_] = self.slices_B == FLEET_SLICE
        return mask

    def rows(self, rows_I: Indices) -> Dataset:
        """The dataset of these rows, in this order."""
        return replace(
            self,
            inputs_B=self.inputs_B[rows_I],
            labels_B=self.labels_B[rows_I],
            slices_B=self.slices_B[rows_I],
            groups_B=None if self.groups_B is None else self.groups_B[rows_I],
            times_B=None if self.times_B is None else self.times_B[rows_I],
            places=None if self.places is None else self.places.at(rows_I),
        )


@dataclass(frozen=True, slots=True)
class FleetSamples:
    """Samples that devices sent home and somebody labelled; `labels` are names of the release's labels."""

    inputs_B: RawInputs
    labels: list[str]
    source: str


def no_slices(count: int) -> Slices:
    """Slice names of `count` rows that belong to none."""
    return np.full(count, "", dtype="<U1")
