"""CSV records to numbers: Arrow reads them all at once; where it stumbles, row by row, so that each fault has a name.

Legend: B rows, N values of a row.
"""

from __future__ import annotations

import csv
import io
import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.predict.portions import BadRow
from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.predict.portions import CsvForm, Span

MAX_SHOWN: Final = 40


def csv_values(form: CsvForm, span: Span, payload: bytes) -> tuple[NDArray[np.float64], dict[int, BadRow]]:
    """The values (B, N), and the rows, by place, that are not numbers; what stands in their values means nothing.

    Raises:
        ContractError: the payload does not hold as many records as its span says.
    """
    values_BN = _all_at_once(form, span, payload)
    return (values_BN, {}) if values_BN is not None else _row_by_row(form, span, payload)


def _all_at_once(form: CsvForm, span: Span, payload: bytes) -> NDArray[np.float64] | None:
    """The values when every record is well formed; None when one is not."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    try:
        table = arrow_csv.read_csv(
            pa.py_buffer(payload),
            read_options=arrow_csv.ReadOptions(
                column_names=list(form.header), use_threads=False, block_size=len(payload) + 1
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=form.delimiter, newlines_in_values=True, ignore_empty_lines=False
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(form.columns, pa.float64()),
                include_columns=list(form.columns),
                null_values=[""],
            ),
        )
    except pa.ArrowException:
        return None
    if table.num_rows != span.count or any(column.null_count for column in table.columns):
        return None
    return np.column_stack([column.to_numpy() for column in table.columns])


def _row_by_row(form: CsvForm, span: Span, payload: bytes) -> tuple[NDArray[np.float64], dict[int, BadRow]]:
    place_of = {name: place for place, name in enumerate(form.header)}
    places = [place_of[name] for name in form.columns]
    values_BN, bad = np.zeros((span.count, len(places)), np.float64), {}
    reader = csv.reader(io.StringIO(payload.decode("utf-8", "replace"), newline=""), delimiter=form.delimiter)
    records = list(itertools.islice(reader, span.count + 1))
    if len(records) != span.count:
        raise ContractError.mismatch(f"{span}", got=f"{len(records)} CSV records", expected=span.count)
    for row, record in enumerate(records):
        try:
            values_BN[row] = _numbers(form, places, record)
        except _Fault as fault:
            bad[row] = BadRow(row=span.start + row, column=fault.column, words=fault.words)
    return values_BN, bad


class _Fault(ValueError):  # noqa: N818  a fault of the data, not of the program
    def __init__(self, column: str, words: str) -> None:
        super().__init__(words)
        self.column, self.words = column, words


def _numbers(form: CsvForm, places: list[int], record: list[str]) -> list[float]:
    if len(record) != len(form.header):
        raise _Fault("", f"got {len(record)} columns, expected {len(form.header)}")
    return [_number(name, record[place]) for name, place in zip(form.columns, places, strict=True)]


def _number(column: str, text: str) -> float:
    if not text.strip():
        raise _Fault(column, "got nothing, expected a number")
    try:
        if "_" not in text:  # Python reads 1_000 as a number; nobody else does
            return float(text)
    except ValueError:
        pass
    raise _Fault(column, f"got {text[:MAX_SHOWN]!r}, expected a number")
