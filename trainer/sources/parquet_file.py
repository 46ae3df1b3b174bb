"""A Parquet file as a table of typed columns, read in batches."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from fleet_contract.errors import DataError
from trainer.sources.limits import MAX_COLUMNS, MAX_NAMED
from trainer.sources.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

BATCH_ROWS: Final = 32_768
MAX_FOOTER_BYTES: Final = 64 * 1024**2
FOOTER_TAIL_BYTES: Final = 8
"""Length of the footer as a little-endian uint32, then the magic `PAR1`."""


@dataclass(frozen=True, slots=True)
class ParquetFile:
    """A Parquet file; columns have the types that it declares."""

    path: Path
    columns: tuple[str, ...]
    kinds: dict[str, Any]
    typed: bool = True

    def kind(self, column: str) -> Any:
        """The Arrow type of a column."""
        return self.kinds[column]

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Record batches of these columns, in the file's order.

        Raises:
            DataError: pages that are damaged or cannot be read.
        """
        row = 0
        with _Reading(self.path) as place, _open(self.path) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=list(columns), use_threads=False):
                yield batch.select(list(columns))
                row += batch.num_rows
                place.row = row


class _Reading:
    """Turns pyarrow's errors into ours, with how far reading got."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row = 0

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
    twice = [name for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise DataError(f"{path}: got columns {twice[:MAX_NAMED]} more than once, expected each once")
    if len(columns) > MAX_COLUMNS:
        raise DataError(f"{path}: got {len(columns):,} columns, expected at most {MAX_COLUMNS:,}")
    return ParquetFile(path=path, columns=columns, kinds=kinds)


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

    return parquet.ParquetFile(str(path), page_checksum_verification=True)


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
