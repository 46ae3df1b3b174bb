"""Declared transforms that change the shape: what comes in is not what the model eats.

Rules: as in `fleet_contract.preprocessing_values`; sums over a sample are written out in a fixed order and never left
to a matrix product, whose rounding depends on the batch. The time axis is the first after the batch.
Legend: B batch first, T time, C entries of the last axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import numpy as np
from msgspec import UNSET, Meta, Struct, UnsetType

from fleet_contract.errors import ContractError
from fleet_contract.preprocessing_values import Columns, check_entries

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.preprocessing_values import Real, Shape

BT601: Final = (0.299, 0.587, 0.114)
"""Red, green, blue. Source: ITU-R BT.601-7, section 2.5.1."""
MAX_CODES: Final = 10_000
CodeCount = Annotated[int, Meta(ge=1, le=MAX_CODES)]


class Impute(Struct, frozen=True, kw_only=True, tag="impute", tag_field="kind"):
    """What is missing (NaN, or a value in `also`) becomes the entry's number in `values`, which may be fitted.

    `indicator` appends one more entry for each column: 1 where its value was missing, else 0. Infinity is not missing.
    """

    values: tuple[float, ...]
    also: tuple[float, ...] = ()
    indicator: bool = False
    columns: Columns | UnsetType = UNSET

    def missing(self, real_B: Real) -> NDArray[np.bool_]:
        """Which values of the chosen columns are missing."""
        chosen_B = real_B if self.columns is UNSET else real_B[..., list(self.columns)]
        missing_B = np.isnan(chosen_B)
        for value in self.also:
            missing_B |= chosen_B == np.float32(value)
        return missing_B

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        missing_B = self.missing(real_B)
        columns = range(real_B.shape[-1]) if self.columns is UNSET else self.columns
        filled_B = real_B.copy()
        chosen_B = real_B[..., list(columns)]
        filled_B[..., list(columns)] = np.where(missing_B, np.asarray(self.values, np.float32), chosen_B)
        return np.concatenate([filled_B, missing_B.astype(np.float32)], axis=-1) if self.indicator else filled_B

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        check_entries("impute", shape, self.columns, self.values)
        added = shape[-1] if self.columns is UNSET else len(self.columns)
        return (*shape[:-1], shape[-1] + added * self.indicator)


class OneHot(Struct, frozen=True, kw_only=True, tag="one-hot", tag_field="kind"):
    """Each column of codes 0, 1, ... becomes as many columns as `counts` says, in its place, with a 1 at the code.

    A code that is unknown, not whole or missing becomes all zero.
    """

    columns: Columns
    counts: Annotated[tuple[CodeCount, ...], Meta(min_length=1)]

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        parts, begin = [], 0
        for column, count in sorted(zip(self.columns, self.counts, strict=True)):
            codes_B = real_B[..., column : column + 1] == np.arange(count, dtype=np.float32)
            parts += [real_B[..., begin:column], codes_B.astype(np.float32)]
            begin = column + 1
        return np.concatenate([*parts, real_B[..., begin:]], axis=-1)

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        check_entries("one-hot", shape, self.columns)
        if len(self.counts) != len(self.columns):
            expected = f"{len(self.columns)}, one for each column"
            raise ContractError.mismatch("transform one-hot", got=f"{len(self.counts)} counts", expected=expected)
        return (*shape[:-1], shape[-1] + sum(self.counts) - len(self.columns))


class Select(Struct, frozen=True, kw_only=True, tag="select", tag_field="kind"):
    """Only these entries of the last axis, in this order."""

    columns: Columns

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        return real_B[..., list(self.columns)]

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        check_entries("select", shape, self.columns)
        return (*shape[:-1], len(self.columns))


class Grayscale(Struct, frozen=True, kw_only=True, tag="grayscale", tag_field="kind"):
    """One entry in place of all: their sum with `weights`, by default the luma of red, green and blue."""

    weights: Annotated[tuple[float, ...], Meta(min_length=1)] = BT601

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        gray_B = real_B[..., 0] * np.float32(self.weights[0])
        for channel, weight in enumerate(self.weights[1:], start=1):
            gray_B = gray_B + real_B[..., channel] * np.float32(weight)
        return gray_B[..., np.newaxis]

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        if not shape or shape[-1] != len(self.weights):
            expected = f"{len(self.weights)} entries on the last axis, one for each weight"
            raise ContractError.mismatch("transform grayscale", got=f"shape {list(shape)}", expected=expected)
        return (*shape[:-1], 1)


class Difference(Struct, frozen=True, kw_only=True, tag="difference", tag_field="kind"):
    """x(t + lag) - x(t) along time: T steps become T - lag."""

    lag: Annotated[int, Meta(ge=1)] = 1

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        return real_B[:, self.lag :] - real_B[:, : -self.lag]

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        if not shape or shape[0] <= self.lag:
            expected = f"more than {self.lag} steps on the first axis"
            raise ContractError.mismatch("transform difference", got=f"shape {list(shape)}", expected=expected)
        return (shape[0] - self.lag, *shape[1:])


class Spectrum(Struct, frozen=True, kw_only=True, tag="spectrum", tag_field="kind"):
    """|rfft(x)| / T along time: T steps become T // 2 + 1 frequencies, from 0 to half the sampling rate.

    In float64 and then rounded, since numpy 1 and 2 differ in float32.
    """

    def apply(self, real_B: Real) -> Real:
        """The batch after this step."""
        complex_B = np.fft.rfft(real_B.astype(np.float64), axis=1)
        magnitude_B = np.sqrt(np.square(complex_B.real) + np.square(complex_B.imag))
        spectrum_B: Real = (magnitude_B / real_B.shape[1]).astype(np.float32)
        return spectrum_B

    def output_shape(self, shape: Shape) -> Shape:
        """See `fleet_contract.preprocessing.output_shape`."""
        if not shape:
            raise ContractError.mismatch("transform spectrum", got="a single number", expected="a time axis")
        return (shape[0] // 2 + 1, *shape[1:])
