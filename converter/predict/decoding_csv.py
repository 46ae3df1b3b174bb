"""CSV records to numbers: Arrow reads them as the training does; those that do not fit the header are named.

Legend: B rows, N values of a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.predict.decoding import Fault, Values
from converter.predict.decoding_tables import named_values
from fleet_contract.errors import ContractError
from fleet_rows.csv_text import open_text

if TYPE_CHECKING:
    from converter.predict.portions import CsvForm, Span

FIRST_ROW: int = 2
"""The number that Arrow gives to the record after the header."""


def csv_values(form: CsvForm, span: Span, payload: bytes) -> Values:
    """The rows (B, N) of the records in `payload`.

    Raises:
        ContractError: the payload does not hold as many records as its span says.
    """
    faults: dict[int, Fault] = {}

    def note(row: Any) -> str:
        faults[row.number - FIRST_ROW] = Fault("", f"got {row.actual_columns} columns, expected {row.expected_columns}")
        return "skip"

    table = _table(form, span, _utf8(payload), note)
    if table.num_rows + len(faults) != span.count:
        raise ContractError.mismatch(f"{span}", got=f"{table.num_rows + len(faults)} CSV records", expected=span.count)
    whole_B = np.ones(span.count, np.bool_)
    whole_B[list(faults)] = False
    found_BN, found = named_values(table, form.columns)
    values_BN = np.zeros((span.count, len(form.columns)), np.float64)
    values_BN[whole_B] = found_BN
    places_B = np.flatnonzero(whole_B).tolist()
    return values_BN, faults | {places_B[place]: fault for place, fault in found.items()}


def _table(form: CsvForm, span: Span, payload: bytes, note: Any) -> Any:
    import pyarrow as pa

    names = [column.name for column in form.columns]
    try:
        with open_text(pa.BufferReader(payload), names, separator=form.separator, on_invalid=note) as reader:
            return reader.read_all()
    except pa.ArrowException as error:
        raise ContractError(f"{span}: got no CSV records: {error}") from error


def _utf8(payload: bytes) -> bytes:
    """Bytes that are not UTF-8 become marks that are neither a number nor a category, and so fault only their row."""
    try:
        payload.decode()
    except UnicodeDecodeError:
        return payload.decode(errors="replace").encode()
    return payload
