"""CSV as columns of text: the header, what stands for a missing value, and how Arrow is told to read the rest.

Every fault of a header is named: absent, empty, too long, not UTF-8, a column twice or without a name.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import DataError
from fleet_rows.limits import MAX_COLUMNS, MAX_HEADER_BYTES, MAX_NAMED, MAX_ROW_BYTES
from fleet_rows.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SUFFIXES: Final = (".csv", ".tsv", ".csv.gz", ".csv.bz2")
MISSING: Final = ("", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null")
"""What stands for a missing value."""


def open_text(
    file: Any, columns: Sequence[str], *, separator: str, on_invalid: Callable[[Any], str] | None = None
) -> Any:
    """Arrow's reader of these columns as text, with one thread: only then does it know the numbers of faulty rows.

    Args:
        file: a path or Arrow's input stream; the first record is the header.
        columns: names from the header.
        separator: what stands between two values.
        on_invalid: hears of rows that do not fit the header and answers `skip` or `error`.
    """
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    return arrow_csv.open_csv(
        file,
        read_options=arrow_csv.ReadOptions(use_threads=False, block_size=MAX_ROW_BYTES),
        parse_options=arrow_csv.ParseOptions(
            delimiter=separator, newlines_in_values=True, invalid_row_handler=on_invalid
        ),
        convert_options=arrow_csv.ConvertOptions(
            column_types=dict.fromkeys(columns, pa.string()),
            include_columns=list(columns),
            strings_can_be_null=True,
            null_values=list(MISSING),
        ),
    )


def read_header(path: Path, *, separator: str) -> tuple[str, ...]:
    """The names of the columns of the CSV file at `path`, plain or compressed (.gz, .bz2).

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
    return tuple(header)


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
            hint='say what separates them: separator = ";" in [data], or --separator',
        )


def _has_surrogates(text: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in text)
