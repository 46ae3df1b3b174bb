"""Declared transforms that change values and keep the shape.

Rules: pure; float32 in and out; arithmetic that rounds the same everywhere (sums of a sample in its own order,
logarithms in float64 and then rounded), so that a sample comes out bit-equal alone and among others. What is fitted
stands in the step. An entry is a place on the last axis: a column of a table, a channel of an image or a series; one
number stands for all entries, `columns` unset for all of them. Legend: B batch first, C entries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Shape = tuple[int, ...]
    Real = NDArray[np.float32]

Column = Annotated[int, Meta(ge=0)]
Columns = Annotated[tuple[Column, ...], Meta(min_length=1)]
Positive = Annotated[float, Meta(gt=0.0)]


class Scale(Struct, frozen=True, kw_only=True, tag="scale", tag_field="kind"):
    """(x - offset) * factor, the same for every element."""

    factor: float
    offset: float = 0.0
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        offset, factor = np.float32(self.offset), np.float32(self.factor)
        return change_columns(real_B, self.columns, lambda x_B: (x_B - offset) * factor)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("scale", shape, self.columns)


class Standardize(Struct, frozen=True, kw_only=True, tag="standardize", tag_field="kind"):
    """(x - mean) / std per entry; both fitted on the training split only."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        mean_C, std_C = _row(self.mean), _row(self.std)
        return change_columns(real_B, self.columns, lambda x_B: (x_B - mean_C) / std_C)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("standardize", shape, self.columns, self.mean, self.std)


class StandardizeEach(Struct, frozen=True, kw_only=True, tag="standardize-each", tag_field="kind"):
    """(x - mean) / (std + epsilon) with mean and std of the sample itself.

    With `epsilon` 0 a constant sample gives 0/0; a model host reports such inferences as invalid.
    """

    epsilon: float = 1e-6

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        axes = tuple(range(1, real_B.ndim))
        centred_B = real_B - real_B.mean(axes, keepdims=True)
        result_B: Real = centred_B / (real_B.std(axes, keepdims=True) + np.float32(self.epsilon))
        return result_B

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return shape


class Clip(Struct, frozen=True, kw_only=True, tag="clip", tag_field="kind"):
    """Values limited to [low, high]."""

    low: float
    high: float
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        low, high = np.float32(self.low), np.float32(self.high)
        return change_columns(real_B, self.columns, lambda x_B: np.clip(x_B, low, high))

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("clip", shape, self.columns)


class Robust(Struct, frozen=True, kw_only=True, tag="robust", tag_field="kind"):
    """(x - median) / spread per entry, both fitted; wild values do not move them. Spread is quartile to quartile."""

    median: tuple[float, ...]
    spread: tuple[Positive, ...]
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        median_C, spread_C = _row(self.median), _row(self.spread)
        return change_columns(real_B, self.columns, lambda x_B: (x_B - median_C) / spread_C)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("robust", shape, self.columns, self.median, self.spread)


class MinMax(Struct, frozen=True, kw_only=True, tag="min-max", tag_field="kind"):
    """(x - low) / span per entry, both fitted: training data lie in [0, 1]. `clip` keeps all others in it too."""

    low: tuple[float, ...]
    span: tuple[Positive, ...]
    clip: bool = False
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        return change_columns(real_B, self.columns, self._changed)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("min-max", shape, self.columns, self.low, self.span)

    def _changed(self, real_B: Real) -> Real:
        unit_B = (real_B - _row(self.low)) / _row(self.span)
        return np.clip(unit_B, np.float32(0.0), np.float32(1.0)) if self.clip else unit_B


class Log1p(Struct, frozen=True, kw_only=True, tag="log1p", tag_field="kind"):
    """log(1 + x), or sign(x) * log(1 + |x|) where `signed`. Without it a value of -1 or less is not finite: invalid."""

    signed: bool = False
    columns: Columns | UnsetType = UNSET

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        return change_columns(real_B, self.columns, self._changed)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        return check_entries("log1p", shape, self.columns)

    def _changed(self, real_B: Real) -> Real:
        wide_B = real_B.astype(np.float64)
        changed_B = np.sign(wide_B) * np.log1p(np.abs(wide_B)) if self.signed else np.log1p(wide_B)
        return changed_B.astype(np.float32)


def change_columns(real_B: Real, columns: Columns | UnsetType, change: Callable[[Real], NDArray[Any]]) -> Real:
    """A batch of which only these entries of the last axis went through `change`."""
    if columns is UNSET:
        return change(real_B)
    chosen = list(columns)
    changed_B = real_B.copy()
    changed_B[..., chosen] = change(real_B[..., chosen])
    return changed_B


def check_entries(kind: str, shape: Shape, columns: Columns | UnsetType, *numbers: Sequence[float]) -> Shape:
    """`shape`, when the columns are on its last axis, each once, and each of `numbers` is one or one for each of them.

    Raises:
        ContractError: they are not.
    """
    count = shape[-1] if shape else 1
    chosen = range(count) if columns is UNSET else columns
    if not shape or any(column >= count for column in chosen) or len(set(chosen)) != len(chosen):
        expected = f"different ones below {count}, as the last axis of {list(shape)} has"
        raise ContractError.mismatch(f"transform {kind}: columns", got=list(chosen), expected=expected)
    for each in numbers:
        if len(each) not in {1, len(chosen)}:
            raise ContractError.mismatch(
                f"transform {kind}", got=f"{len(each)} numbers", expected=f"{len(chosen)}, one for each entry, or 1"
            )
    return shape


def _row(values: Sequence[float]) -> Real:
    return np.asarray(values, np.float32)
