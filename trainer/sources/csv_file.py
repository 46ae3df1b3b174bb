"""A CSV file as a table of text: its header, and its rows in batches, in memory that does not grow with the file.

Every fault is named: ragged rows with their numbers, a byte that is not UTF-8 with its row and column, a header that is
absent, empty, too long or that names a column twice.
"""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import DataError
from trainer.sources.limits import MAX_COLUMNS, MAX_HEADER_BYTES, MAX_NAMED, MAX_ROW_BYTES, require_flawless
from trainer.sources.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What stands for a missing value."""
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
            with _open(self, columns) as reader:
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
        with _open(table, table.columns[:1], ragged) as reader:
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
    prefix = _read_prefix(path)
    _check_width(path, prefix, separator)
    try:
        text = prefix.decode("utf-8-sig", errors="surrogateescape")
        header = next(csv.reader(io.StringIO(text, newline=""), delimiter=separator), [])
    except csv.Error as error:
        raise DataError(f"{path}: header: got {error}, expected a line of column names") from error
    _check_header(path, header, separator)
    return CsvFile(path=path, separator=separator, columns=tuple(header))


def _read_prefix(path: Path) -> bytes:
    import pyarrow as pa

    try:
        with pa.input_stream(str(path)) as stream:
            prefix: bytes = stream.read(MAX_HEADER_BYTES)
    except pa.ArrowInvalid as error:
        raise DataError(f"{path}: got {error}, expected a readable CSV file") from error
    except OSError as error:
        raise cannot_read(path, error) from error
    if not prefix.strip(b"\xef\xbb\xbf\r\n\t "):
        raise DataError(f"{path}: got an empty file, expected a header and rows")
    return prefix


def _check_width(path: Path, prefix: bytes, separator: str) -> None:
    """Before the header is parsed, so that a million columns cost nothing."""
    line, end, _ = prefix.partition(b"\n")
    count = line.count(separator.encode()) + 1
    if count > MAX_COLUMNS:
        raise DataError(
            f"{path}: header: got {'' if end else 'at least '}{count:,} columns, expected at most {MAX_COLUMNS:,}",
            hint="wide rows belong into NPZ or Parquet, or one row of the file into many",
        )
    if len(prefix) == MAX_HEADER_BYTES and b"\n" not in prefix:
        raise DataError(f"{path}: header: got no line end in {MAX_HEADER_BYTES:,} bytes, expected column names")


def _check_header(path: Path, header: list[str], separator: str) -> None:
    bad_text = [name for name in header if not name.isascii() and _has_surrogates(name)]
    if bad_text:
        raise DataError(f"{path}: header: got bytes that are not UTF-8 in {bad_text[0]!a}, expected UTF-8")
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(
            f"{path}: header: got {len(twice):,} names more than once ({', '.join(map(repr, twice[:MAX_NAMED]))}), "
            "expected each column once"
        )
    if "" in header:
        raise DataError(
            f"{path}: header: column {header.index('')} has no name, expected one for each",
            hint="an index that pandas wrote? write with index=False",
        )
    if len(header) == 1 and any(other in header[0] for other in ",;\t|" if other != separator):
        raise DataError(
            f"{path}: header: got one column {header[0][:60]!r}, expected several separated by {separator!r}",
            hint='say what separates them: [data] separator = ";"',
        )


def _has_surrogates(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)


def _open(table: CsvFile, columns: Sequence[str], ragged: _Ragged | None = None) -> Any:
    """One thread: only then does pyarrow know the numbers of faulty rows."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.open_csv(
        str(table.path),
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=MAX_ROW_BYTES),
        parse_options=arrow_csv.ParseOptions(
            delimiter=table.separator, newlines_in_values=True, invalid_row_handler=ragged
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=True,
            null_values=list(MISSING),
        ),
    )
