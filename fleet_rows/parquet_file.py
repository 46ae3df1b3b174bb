"""A Parquet file as a table of typed columns, read in batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from fleet_contract.errors import DataError
from fleet_rows.limits import MAX_COLUMNS, MAX_NAMED
from fleet_rows.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

SUFFIXES: Final = (".parquet", ".pq")
BATCH_ROWS: Final = 32_768
READ_BYTES: Final = 1024**2
"""Of a column at a time: memory does not grow with the row groups."""
MAX_FOOTER_BYTES: Final = 64 * 1024**2
FOOTER_TAIL_BYTES: Final = 8
"""Length of the footer as a little-endian uint32, then the magic `PAR1`."""


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A Parquet file; columns have the types that it declares."""

    path: Path
    columns: tuple[str, ...]
    kinds: dict[str, Any]
    group_rows: tuple[int, ...]
    typed: bool = True

    @property
    def row_count(self) -> int:
        """Rows, as the footer says."""
        return sum(self.group_rows)

    def kind(self, column: str) -> Any:
        """The Arrow type of a column."""
        return self.kinds[column]

    def batches(self, columns: Sequence[str], *, begin: int = 0, batch_rows: int = BATCH_ROWS) -> Iterator[Any]:
        """Record batches of these columns, in the file's order, from row `begin` on.

        Raises:
            DataError: pages that are damaged or cannot be read.
        """
        groups, spare = self._groups_from(begin)
        with _Reading(self.path, begin) as place, _open(self.path) as file:
            for batch in file.iter_batches(batch_rows, row_groups=groups, columns=list(columns), use_threads=False):
                cut = min(spare, batch.num_rows)
                spare -= cut
                if cut < batch.num_rows:
                    yield batch.slice(cut).select(list(columns))
                    place.row += batch.num_rows - cut

    def _groups_from(self, begin: int) -> tuple[list[int], int]:
        """The row groups from the one with row `begin` on, and how many of their rows come before it."""
        skipped, first = 0, 0
        while first < len(self.group_rows) and skipped + self.group_rows[first] <= begin:
            skipped += self.group_rows[first]
            first += 1
        return list(range(first, len(self.group_rows))), begin - skipped


class _Reading:
    """Turns pyarrow's errors into ours, with how far reading got."""

    def __init__(self, path: Path, row: int = 0) -> None:
        self.path = path
        self.row = row

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | OSError | EOFError):
            raise DataError(
                f"{self.path}: got {_first_line(error)} after {self.row:,} rows, expected a whole Parquet file",
                hint="it may have been cut short while it was copied or written",
            ) from error


def open_parquet(path: Path) -> ParquetFile:
    """The Parquet file at `path`, its footer read and checked.

    Raises:
        DataError: it is truncated, is no Parquet file, or has too many columns or one twice.
    """
    _check_footer(path)
    with _Reading(path), _open(path) as file:
        schema = file.schema_arrow
        columns = tuple(str(name) for name in schema.names)
        kinds = {str(field.name): field.type for field in schema}
        groups = tuple(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(f"{path}: got columns {twice[:MAX_NAMED]} more than once, expected each once")
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{path}: got {len(columns):,} columns, expected at most {MAX_COLUMNS:,}")
    return ParquetFile(path=path, columns=columns, kinds=kinds, group_rows=groups)


def _check_footer(path: Path) -> None:
    """A footer that claims gigabytes is refused before it is read."""
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size_bytes - FOOTER_TAIL_BYTES))
            tail = file.read()
    except OSError as error:
        raise cannot_read(path, error) from error
    if size_bytes == 0:
        raise DataError(f"{path}: got an empty file, expected a Parquet file")
    footer_bytes = int.from_bytes(tail[:4], "little")
    if tail[4:] == b"PAR1" and footer_bytes > min(size_bytes, MAX_FOOTER_BYTES):
        raise DataError(f"{path}: got a footer of {footer_bytes:,} bytes, expected at most {MAX_FOOTER_BYTES:,}")


def _open(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(str(path), page_checksum_verification=True, pre_buffer=False, buffer_size=READ_BYTES)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
