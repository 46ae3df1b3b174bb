"""Parquet: row groups as a stream of batches, only the columns that are asked for, cut into even portions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.predict.decoding_tables import is_list
from converter.predict.portions import Portion, Position, Span, TableForm
from converter.predict.sources.source import file_identity, table_columns
from fleet_contract.errors import DataError
from fleet_contract.release import Feature
from fleet_rows.arrow_values import is_text_type, is_usable
from fleet_rows.parquet_file import open_parquet

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from converter.predict.sources.source import Reading
    from fleet_rows.parquet_file import ParquetFile


class ParquetSource:
    """See `Source`; a cursor is a row number."""

    key = "row"

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        self._file = open_parquet(path)
        self.total_rows: int = self._file.row_count
        self.form = TableForm(columns=_columns(self._file, reading))

    def identity(self) -> str:
        """See `Source.identity`."""
        return file_identity(self._path)

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        index, row = begin.index, begin.row
        names = [column.name for column in self.form.columns]
        for table in _even(self._file.batches(names, begin=row, batch_rows=rows), rows):
            span = Span(index=index, start=row, count=table.num_rows)
            index, row = index + 1, row + table.num_rows
            yield Portion(span, _stream(table), row, row / max(1, self.total_rows))
        if row != self.total_rows:
            raise DataError(f"{self._path}: got {row} rows, expected {self.total_rows} as its footer says")


def _even(batches: Iterator[Any], rows: int) -> Iterator[Any]:
    """Tables of `rows` rows each, the last one of fewer, of batches of any size."""
    import pyarrow as pa

    kept: list[Any] = []
    count = 0
    for batch in batches:
        kept.append(batch)
        count += batch.num_rows
        while count >= rows:
            table = pa.Table.from_batches(kept)
            yield table.slice(0, rows)
            kept, count = table.slice(rows).to_batches(), count - rows
    if count:
        yield pa.Table.from_batches(kept)


def _stream(table: Any) -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _columns(file: ParquetFile, reading: Reading) -> tuple[Feature, ...]:
    """The columns that are wanted, or the one column of lists, whose lengths only reading tells."""
    names = reading.columns or file.columns
    if not reading.features and len(names) == 1 and names[0] in file.columns and is_list(file.kind(names[0])):
        return _checked(file, (Feature(name=names[0]),), inner=True)
    return _checked(file, table_columns(file.path, file.columns, reading), inner=False)


def _checked(file: ParquetFile, columns: tuple[Feature, ...], *, inner: bool) -> tuple[Feature, ...]:
    for column in columns:
        kind = file.kind(column.name)
        value = kind.value_type if inner else kind
        if not is_usable(value) or (is_text_type(value) and not column.categories):
            raise DataError(f"{file.path}: column {column.name!r}: got type {kind}, expected numbers")
    return columns
