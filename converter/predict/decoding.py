"""From the bytes of a portion to rows of the release's raw input; what does not fit is named, row and column.

Pure but for images, whose files are read here. Missing values are NaN: whether a row can do without them is known when
the preprocessing is done. Legend: B rows of the portion, G good ones of them, N values of a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from converter.predict.portions import ArrayForm, BadRow, CsvForm, TableForm
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from converter.predict.portions import Form, Span
    from fleet_contract.release import Feature
    from fleet_contract.tensors import TensorSpec

EXACT_BITS: Final = 53
"""Whole numbers beyond as many bits are not exact in a float64, which text and tables are read as."""


class Fault(NamedTuple):
    """What is wrong with a row; `column` is empty where the whole row is at fault."""

    column: str
    words: str


Values = tuple["NDArray[np.float64]", dict[int, Fault]]
"""Rows (B, N), and the faults of those, by place, that are none; there the values mean nothing."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows that can be scored: `raw_G` and their places in the portion; and those that cannot."""

    raw_G: NDArray[np.generic]
    places_G: NDArray[np.intp]
    bad: tuple[BadRow, ...] = ()
    keys: tuple[str, ...] | None = None


def decode_portion(form: Form, raw: TensorSpec, span: Span, payload: bytes) -> Decoded:
    """The rows in `payload`.

    Raises:
        ContractError: the payload does not hold as many rows as its span says.
    """
    if isinstance(form, ArrayForm):
        return _decoded(_array_values(form, raw, span, payload), {}, form, raw, span)
    if isinstance(form, TableForm):
        from converter.predict.decoding_tables import table_values

        return _decoded(*table_values(form, span, payload, _width(raw)), form, raw, span)
    if isinstance(form, CsvForm):
        from converter.predict.decoding_csv import csv_values

        return _decoded(*csv_values(form, span, payload), form, raw, span)
    from converter.predict.decoding_images import decode_images

    return decode_images(form, raw, span, payload)


def value_name(form: Form, place: int) -> str:
    """What a user calls the value at `place` of a row: its column, or its element."""
    if isinstance(form, ArrayForm):
        return f"element {_element(place, form.shape)}"
    if isinstance(form, TableForm | CsvForm):
        return _column(form.columns, place)
    return ""


def _width(raw: TensorSpec) -> int:
    return int(np.prod(raw.shape, dtype=np.int64))


def _array_values(form: ArrayForm, raw: TensorSpec, span: Span, payload: bytes) -> NDArray[Any]:
    flat = np.frombuffer(payload, np.dtype(form.dtype))
    if flat.size != span.count * _width(raw):
        raise ContractError.mismatch(f"{span}", got=f"{flat.size} values", expected=span.count * _width(raw))
    return flat.reshape(span.count, -1)


def _element(place: int, shape: Sequence[int]) -> str:
    return str([int(index) for index in np.unravel_index(place, tuple(shape))]) if shape else "0"


def _column(columns: Sequence[Feature], place: int) -> str:
    """A column of lists holds all values of a row."""
    return columns[place if len(columns) > 1 else 0].name


def _decoded(values_BN: NDArray[Any], known: Mapping[int, Fault], form: Form, raw: TensorSpec, span: Span) -> Decoded:
    """Rows from values; `known` are the faults of rows, by place, that are bad already."""
    faults, unfit_BN = dict(known), _unfit(values_BN, raw)
    for place in np.flatnonzero(unfit_BN.any(axis=1)).tolist():
        index = int(unfit_BN[place].argmax())
        words = f"got {_shown(values_BN[place, index])}, expected {_expected(raw)}"
        faults.setdefault(place, Fault(value_name(form, index), words))
    good_B = np.ones(len(values_BN), np.bool_)
    good_B[list(faults)] = False
    raw_G = values_BN[good_B].astype(raw.dtype.value, copy=False).reshape(-1, *raw.shape)
    bad = tuple(BadRow(row=span.start + place, **faults[place]._asdict()) for place in sorted(faults))
    return Decoded(raw_G, np.flatnonzero(good_B), bad)


def _unfit(values_BN: NDArray[Any], raw: TensorSpec) -> NDArray[np.bool_]:
    """Which values the raw input's element type cannot take without loss; a float takes NaN, for what is missing."""
    target = np.dtype(raw.dtype.value)
    if values_BN.dtype == target and target.kind != "f":
        return np.zeros(values_BN.shape, np.bool_)
    if target.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(np.isinf(values_BN.astype(target, copy=False)), np.bool_)
    unfit_BN: NDArray[np.bool_] = ~np.isfinite(values_BN)
    limits = np.iinfo(target)
    low, high = limits.min, limits.max
    if values_BN.dtype.kind == "f":
        low, high = max(low, -(2**EXACT_BITS)), min(high, 2**EXACT_BITS)
        unfit_BN |= values_BN != np.rint(values_BN)
    outside_BN: NDArray[np.bool_] = (values_BN < low) | (values_BN > high)
    return unfit_BN | outside_BN


def _shown(value: Any) -> str:
    return "nothing" if np.isnan(value) else str(value)


def _expected(raw: TensorSpec) -> str:
    target = np.dtype(raw.dtype.value)
    if target.kind == "f":
        return f"a finite {raw.dtype}"
    limits = np.iinfo(target)
    return f"a whole number from {limits.min} to {limits.max}"
