"""A batch of an Arrow stream to numbers. Legend: B rows, N values of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.predict.portions import BadRow
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.predict.portions import Span, TableForm


def table_values(
    form: TableForm, span: Span, payload: bytes, width: int
) -> tuple[NDArray[np.float64], dict[int, BadRow]]:
    """The values (B, `width`), and the rows, by place, in which one is missing; there the values mean nothing.

    Raises:
        ContractError: the payload is not one batch of as many rows as its span says.
    """
    import pyarrow as pa

    try:
        table = pa.ipc.open_stream(payload).read_all()
    except pa.ArrowException as error:
        raise ContractError(f"{span}: got no Arrow stream: {error}") from error
    if table.num_rows != span.count:
        raise ContractError.mismatch(f"{span}", got=f"{table.num_rows} rows", expected=span.count)
    columns = [table.column(name).combine_chunks() for name in form.columns]
    if len(columns) == 1 and _is_list(columns[0].type):
        return _list_values(columns[0], form.columns[0], span, width)
    bad: dict[int, BadRow] = {}
    values = [_flat_values(column, name, span, bad) for name, column in zip(form.columns, columns, strict=True)]
    return np.column_stack(values), bad


def _flat_values(column: Any, name: str, span: Span, bad: dict[int, BadRow]) -> NDArray[np.float64]:
    import pyarrow as pa

    if column.null_count:
        for place in np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False)).tolist():
            words = "got nothing, expected a number"
            bad.setdefault(place, BadRow(row=span.start + place, column=name, words=words))
        column = column.fill_null(False if pa.types.is_boolean(column.type) else 0)
    values_B: NDArray[np.float64] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return values_B


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _list_values(column: Any, name: str, span: Span, width: int) -> tuple[NDArray[np.float64], dict[int, BadRow]]:
    """Rows that are lists of `width` numbers each."""
    values_BN, bad = np.zeros((span.count, width), np.float64), {}
    for place, scalar in enumerate(column):
        values, words = _list_row(scalar, width)
        values_BN[place] = 0.0 if values is None else values
        if values is None:
            bad[place] = BadRow(row=span.start + place, column=name, words=words)
    return values_BN, bad


def _list_row(scalar: Any, width: int) -> tuple[NDArray[np.float64] | None, str]:
    if not scalar.is_valid:
        return None, "got nothing, expected a list of numbers"
    if len(scalar.values) != width:
        return None, f"got a list of {len(scalar.values)}, expected {width} numbers"
    if scalar.values.null_count:
        return None, "got a list with a missing number, expected none"
    return np.asarray(scalar.values.to_numpy(zero_copy_only=False), np.float64), ""
