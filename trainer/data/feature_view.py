"""The numbers of a data set by what they measure: columns of a table, channels of a series or of an image.

Rules: pure, no copy where numpy can do without. Legend: B rows, F features, V values of a feature: B, or B times what a
row holds of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset


CHUNK_VALUES: Final = 100_000
"""So many, turned feature by feature, stay in the processor's cache while they are gone through."""


class DataKind(StrEnum):
    """What a sample is, told by its shape: () and (F,) tables, (T, C) series, (H, W, C) and beyond images."""

    TABLE = "table"
    SERIES = "series"
    IMAGES = "images"


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Values by feature. `values_per_row` values of a feature, one after the other, belong to one row."""

    names: tuple[str, ...]
    categories: tuple[tuple[str, ...], ...]
    values_VF: NDArray[Any]
    values_per_row: int

    def rows_with(self, mask_VF: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """For each row and feature (B, F), whether any of its values is marked."""
        if self.values_per_row == 1:
            return mask_VF
        per_row = mask_VF.reshape(-1, self.values_per_row, mask_VF.shape[1])
        return np.asarray(per_row.any(axis=1), np.bool_)


def kind_of(data: Dataset) -> DataKind:
    """What a sample of `data` is; named features make a table of any shape."""
    if data.features or len(data.sample_shape) <= 1:
        return DataKind.TABLE
    return DataKind.SERIES if len(data.sample_shape) == 2 else DataKind.IMAGES


def feature_view(data: Dataset) -> FeatureView:
    """The values of `data` by column or channel, under the names that the source gave or `feature 3`, `channel 0`."""
    count, shape = len(data), data.sample_shape
    if kind_of(data) is DataKind.TABLE:
        values_VF = data.inputs_B.reshape(count, int(np.prod(shape)))
        word = "feature"
    else:
        values_VF = data.inputs_B.reshape(count * int(np.prod(shape[:-1])), shape[-1])
        word = "channel"
    features = values_VF.shape[1]
    named = [feature.name for feature in data.features] or [f"{word} {index}" for index in range(features)]
    categories = [feature.categories for feature in data.features] or [()] * features
    return FeatureView(tuple(named), tuple(categories), values_VF, len(values_VF) // max(1, count))


def extremes(values_VF: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of each feature, NaN where one is NaN; there is at least one value of each."""
    step = max(1, CHUNK_VALUES // max(1, values_VF.shape[1]))
    chunks = (np.ascontiguousarray(values_VF[start : start + step].T) for start in range(0, len(values_VF), step))
    bounds = [(chunk_FV.min(axis=1), chunk_FV.max(axis=1)) for chunk_FV in chunks]
    low_F, high_F = np.min([low for low, _ in bounds], axis=0), np.max([high for _, high in bounds], axis=0)
    return low_F.astype(np.float64), high_F.astype(np.float64)
