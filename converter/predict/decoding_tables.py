"""Columns of Arrow to numbers, all at once; where one holds a fault, its rows are found. Legend: B rows, N values."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.predict.decoding import Fault, Values
from fleet_contract.errors import ContractError
from fleet_contract.features import category_word
from fleet_rows.columns import column_values, faulty_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.predict.portions import Span, TableForm
    from fleet_contract.release import Feature

MAX_SHOWN: Final = 40
MAX_KNOWN: Final = 20
"""Categories that a message tells."""


def table_values(form: TableForm, span: Span, payload: bytes, width: int) -> Values:
    """The rows (B, `width`) of an Arrow stream.

    Raises:
        ContractError: the payload is not a stream of as many rows as its span says.
    """
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(payload).read_all()
    except pa.ArrowException as error:
        raise ContractError(f"{span}: got no Arrow stream: {error}") from error
    if table.num_rows != span.count:
        raise ContractError.mismatch(f"{span}", got=f"{table.num_rows} rows", expected=span.count)
    first = form.columns[0].name
    if len(form.columns) == 1 and is_list(table.schema.field(first).type):
        return _list_values(table.column(first), first, width)
    return named_values(table, form.columns)


def named_values(table: Any, features: Sequence[Feature]) -> Values:
    """The rows (B, N) of a table, a column for each feature."""
    values_BN = np.full((table.num_rows, len(features)), np.nan)
    faults: dict[int, Fault] = {}
    for index, feature in enumerate(features):
        array_B = table.column(feature.name).combine_chunks()
        try:
            values_BN[:, index] = column_values(array_B, feature)
        except (ContractError, ValueError):
            good_B = np.ones(len(array_B), np.bool_)
            for place in faulty_rows(array_B, partial(column_values, feature=feature)):
                good_B[place] = False
                faults.setdefault(place, Fault(feature.name, _words(array_B[place].as_py(), feature)))
            values_BN[good_B, index] = column_values(array_B.filter(good_B), feature)
    return values_BN, faults


def _words(value: object, feature: Feature) -> str:
    if not feature.categories:
        return f"got {str(value)[:MAX_SHOWN]!r}, expected a number"
    known = ", ".join(map(repr, feature.categories[:MAX_KNOWN]))
    more = f" or {len(feature.categories) - MAX_KNOWN:,} more" if len(feature.categories) > MAX_KNOWN else ""
    return f"got category {(category_word(value) or '')[:MAX_SHOWN]!r}, expected one of {known}{more}"


def is_list(kind: Any) -> bool:
    """Whether a column of this Arrow type holds lists."""
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_values(column_B: Any, name: str, width: int) -> Values:
    """Rows that are lists of `width` numbers each."""
    values_BN, faults = np.zeros((len(column_B), width), np.float64), {}
    for place, scalar in enumerate(column_B):
        values, words = _list_row(scalar, width)
        values_BN[place] = 0.0 if values is None else values
        if values is None:
            faults[place] = Fault(name, words)
    return values_BN, faults


def _list_row(scalar: Any, width: int) -> tuple[NDArray[np.float64] | None, str]:
    if not scalar.is_valid:
        return None, "got nothing, expected a list of numbers"
    if len(scalar.values) != width:
        return None, f"got a list of {len(scalar.values)}, expected {width} numbers"
    return np.asarray(scalar.values.to_numpy(zero_copy_only=False), np.float64), ""
