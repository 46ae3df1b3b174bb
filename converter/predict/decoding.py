"""From the bytes of a portion to rows of the release's raw input; what does not fit is named, row and column.

Pure but for images, whose files are read here. Legend: B rows of the portion, G good ones of them, N values of a row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.predict.portions import ArrayForm, BadRow, CsvForm, TableForm
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from converter.predict.portions import Form, Span
    from fleet_contract.tensors import TensorSpec

EXACT_BITS: Final = 53
"""Whole numbers beyond as many bits are not exact in a float64, which text and tables are read as."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The rows that can be scored: `raw_G` and their places in the portion; and those that cannot."""

    raw_G: NDArray[np.generic]
    places_G: NDArray[np.intp]
    bad: tuple[BadRow, ...] = ()
    keys: tuple[str, ...] | None = field(default=None)


def decode_portion(form: Form, raw: TensorSpec, span: Span, payload: bytes) -> Decoded:
    """The rows in `payload`.

    Raises:
        ContractError: the payload does not hold as many rows as its span says.
    """
    if isinstance(form, ArrayForm):
        return _from_array(form, raw, span, payload)
    if isinstance(form, TableForm):
        from converter.predict.decoding_tables import table_values

        return _from_values(*table_values(form, span, payload, _width(raw)), raw, span, form.columns)
    if isinstance(form, CsvForm):
        from converter.predict.decoding_csv import csv_values

        return _from_values(*csv_values(form, span, payload), raw, span, form.columns)
    from converter.predict.decoding_images import decode_images

    return decode_images(form, raw, span, payload)


def _width(raw: TensorSpec) -> int:
    return int(np.prod(raw.shape, dtype=np.int64))


def _from_array(form: ArrayForm, raw: TensorSpec, span: Span, payload: bytes) -> Decoded:
    flat = np.frombuffer(payload, np.dtype(form.dtype))
    if flat.size != span.count * _width(raw):
        raise ContractError.mismatch(f"{span}", got=f"{flat.size} values", expected=span.count * _width(raw))
    values_BN = flat.reshape(span.count, -1)
    return _decoded(values_BN, {}, raw, span, lambda place: f"element {_element(place, form.shape)}")


def _element(place: int, shape: Sequence[int]) -> str:
    return str([int(index) for index in np.unravel_index(place, tuple(shape))]) if shape else "0"


def _from_values(
    values_BN: NDArray[np.float64], known: dict[int, BadRow], raw: TensorSpec, span: Span, columns: Sequence[str]
) -> Decoded:
    """Rows from float64 values; `known` are rows, by place, that are bad already."""
    names: Callable[[int], str] = (lambda place: columns[place]) if len(columns) > 1 else (lambda _: columns[0])
    return _decoded(values_BN, known, raw, span, names)


def _decoded(
    values_BN: NDArray[Any],
    known: dict[int, BadRow],
    raw: TensorSpec,
    span: Span,
    name: Callable[[int], str],
) -> Decoded:
    bad, unfit_BN = dict(known), _unfit(values_BN, raw)
    for place in np.flatnonzero(unfit_BN.any(axis=1)).tolist():
        column = int(unfit_BN[place].argmax())
        words = f"got {values_BN[place, column]}, expected {_expected(raw)}"
        bad.setdefault(place, BadRow(row=span.start + place, column=name(column), words=words))
    good_B = np.ones(len(values_BN), np.bool_)
    good_B[list(bad)] = False
    raw_G = values_BN[good_B].astype(raw.dtype.value, copy=False).reshape(-1, *raw.shape)
    return Decoded(raw_G, np.flatnonzero(good_B), tuple(bad[place] for place in sorted(bad)))


def _unfit(values_BN: NDArray[Any], raw: TensorSpec) -> NDArray[np.bool_]:
    """Which values the raw input's element type cannot take without loss."""
    target = np.dtype(raw.dtype.value)
    if values_BN.dtype == target and target.kind != "f":
        return np.zeros(values_BN.shape, np.bool_)
    unfit_BN: NDArray[np.bool_] = ~np.isfinite(values_BN)
    if target.kind == "f":
        with np.errstate(over="ignore"):
            return np.asarray(unfit_BN | ~np.isfinite(values_BN.astype(target)), np.bool_)
    limits = np.iinfo(target)
    low, high = limits.min, limits.max
    if values_BN.dtype.kind == "f":
        low, high = max(low, -(2**EXACT_BITS)), min(high, 2**EXACT_BITS)
        unfit_BN |= values_BN != np.rint(values_BN)
    outside_BN: NDArray[np.bool_] = (values_BN < low) | (values_BN > high)
    return unfit_BN | outside_BN


def _expected(raw: TensorSpec) -> str:
    target = np.dtype(raw.dtype.value)
    if target.kind == "f":
        return f"a finite {raw.dtype}"
    limits = np.iinfo(target)
    return f"a whole number from {limits.min} to {limits.max}"
