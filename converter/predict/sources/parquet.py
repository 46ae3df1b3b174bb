"""Parquet: row groups as a stream of batches, only the columns that are asked for, cut into even portions."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from converter.predict.portions import Portion, Position, Span, TableForm
from converter.predict.sources.source import choose_columns, file_identity
from fleet_contract.errors import DataError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fleet_contract.tensors import TensorSpec


class ParquetSource:
    """See `Source`; a cursor is a row number."""

    key = "row"

    def __init__(self, path: Path, raw: TensorSpec, columns: Sequence[str]) -> None:
        self._path = path
        with _opened(path) as file:
            schema = file.schema_arrow
            self.total_rows: int = file.metadata.num_rows
            self._group_rows = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self.form = TableForm(columns=_columns(path, schema, columns, raw))
        _check_types(path, schema, self.form.columns)

    def identity(self) -> str:
        """See `Source.identity`."""
        return file_identity(self._path)

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        index, row = begin.index, begin.row
        with _opened(self._path) as file:
            for table in _even(self._batches(file, rows, row), rows):
                span = Span(index=index, start=row, count=table.num_rows)
                index, row = index + 1, row + table.num_rows
                yield Portion(span, _stream(table), row, row / max(1, self.total_rows))
        if row != self.total_rows:
            raise DataError(f"{self._path}: got {row} rows, expected {self.total_rows} as its footer says")

    def _batches(self, file: Any, rows: int, begin: int) -> Iterator[Any]:
        """Tables from row `begin` on; row groups before it are not read."""
        first, skipped = 0, 0
        while first < len(self._group_rows) and skipped + self._group_rows[first] <= begin:
            skipped += self._group_rows[first]
            first += 1
        groups = list(range(first, len(self._group_rows)))
        if not groups:
            return
        spare = begin - skipped
        for batch in file.iter_batches(
            batch_size=rows, row_groups=groups, columns=list(self.form.columns), use_threads=False
        ):
            cut = min(spare, batch.num_rows)
            spare -= cut
            if cut < batch.num_rows:
                yield batch.slice(cut)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra("converter", "pyarrow") from error
    try:
        with pq.ParquetFile(path, pre_buffer=False, buffer_size=1024**2) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}", hint="the file may be truncated") from error


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


def _columns(path: Path, schema: Any, wanted: Sequence[str], raw: TensorSpec) -> tuple[str, ...]:
    """All columns that are wanted, or the one column of lists, whose lengths only reading tells."""
    names = tuple(wanted or schema.names)
    if len(names) == 1 and names[0] in schema.names and _is_list(schema.field(names[0]).type):
        return names
    return choose_columns(path, schema.names, wanted, raw)


def _check_types(path: Path, schema: Any, columns: Sequence[str]) -> None:
    import pyarrow as pa

    for name in columns:
        kind = schema.field(name).type
        inner = kind.value_type if _is_list(kind) else kind
        numeric = pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_boolean(inner)
        if not numeric or (inner is not kind and len(columns) > 1):
            raise DataError(f"{path}: column {name!r}: got type {kind}, expected numbers")


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))
