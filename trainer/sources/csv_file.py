"""A CSV file as a table of text: its rows in batches, in memory that does not grow with the file.

Every fault is named: ragged rows with their numbers, a byte that is not UTF-8 with its row and column.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import DataError
from fleet_rows.csv_text import open_text, read_header
from fleet_rows.limits import MAX_NAMED, MAX_ROW_BYTES
from trainer.sources.limits import require_flawless

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

TO_UTF8: Final = "convert it: iconv -f latin1 -t utf-8 FILE"
READ_BYTES: Final = 1024**2
_RAGGED: Final = re.compile(r"Expected \d+ columns, got \d+")
_BAD_TEXT: Final = re.compile(r"column #(\d+): Row #(\d+):.*invalid UTF8")


@dataclass(frozen=True, slots=True)
class CsvFile:
    """A CSV file with a header; every column is text."""

    path: Path
    separator: str
    columns: tuple[str, ...]
    typed: bool = False

    def kind(self, column: str) -> Any:
        """The Arrow type of a column: text."""
        import pyarrow as pa

        assert column in self.columns
        return pa.string()

    def batches(self, columns: Sequence[str]) -> Iterator[Any]:
        """Record batches of these columns, in the file's order.

        Raises:
            DataError: rows that do not fit the header, bytes that are not UTF-8, or a file that cannot be read.
        """
        import pyarrow as pa

        try:
            with open_text(str(self.path), columns, separator=self.separator) as reader:
                yield from reader
        except (pa.ArrowInvalid, OSError, EOFError) as error:
            if _RAGGED.search(str(error)):
                _refuse_ragged(self)
            raise self.translated(error) from error

    def translated(self, error: Exception) -> DataError:
        """The error of pyarrow as ours."""
        found = _BAD_TEXT.search(str(error))
        if found:
            column, row = self.columns[int(found[1])], int(found[2]) - 2
            return DataError(
                f"{self.path}: row {row:,}, column {column!r}: got bytes that are not UTF-8, expected text in UTF-8",
                hint=TO_UTF8,
            )
        if "straddl" in str(error):
            return DataError(
                f"{self.path}: got a row of more than {MAX_ROW_BYTES:,} bytes, expected a shorter one",
                hint="is a quote left open?",
            )
        return DataError(f"{self.path}: got {error}, expected a readable CSV file")


@dataclass(slots=True)
class _Ragged:
    """Hears of rows that do not have as many values as the header has names."""

    count: int = 0
    examples: list[str] = field(default_factory=list)

    def __call__(self, row: Any) -> str:
        self.count += 1
        if len(self.examples) < MAX_NAMED:
            place = "a row" if row.number is None else f"row {row.number - 2:,}"
            got = f"got {row.actual_columns:,} values, expected {row.expected_columns:,}"
            self.examples.append(f"{place}: {got}: {row.text[:60]!r}")
        return "skip"


def _refuse_ragged(table: CsvFile) -> None:
    """Reads a faulty file to its end, to count the rows that do not fit; pyarrow hands out their text as UTF-8 only.

    Raises:
        DataError: they are counted, or the file is not UTF-8.
    """
    import pyarrow as pa

    _require_utf8(table.path)
    ragged = _Ragged()
    try:
        with open_text(str(table.path), table.columns[:1], separator=table.separator, on_invalid=ragged) as reader:
            for _ in reader:
                pass
    except pa.ArrowInvalid as error:
        raise table.translated(error) from error
    hint = f"values that hold {table.separator!r} must be quoted"
    require_flawless(table.path, ragged.examples, count=ragged.count, hint=hint)


def _require_utf8(path: Path) -> None:
    import pyarrow as pa

    decoder, offset = codecs.getincrementaldecoder("utf-8")(), 0
    with pa.input_stream(str(path)) as stream:
        while block := stream.read(READ_BYTES):
            try:
                decoder.decode(block)
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path}: got bytes that are not UTF-8 near byte {offset + error.start:,}, expected text in UTF-8",
                    hint=TO_UTF8,
                ) from error
            offset += len(block)


def open_csv(path: Path, *, separator: str = ",") -> CsvFile:
    """The CSV file at `path`, plain or compressed (.gz, .bz2), its header read and checked.

    Raises:
        DataError: it cannot be read, is empty, or its header is faulty.
    """
    return CsvFile(path=path, separator=separator, columns=read_header(path, separator=separator))
