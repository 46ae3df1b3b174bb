"""CSV: the reader only finds where records end, by lines and quotes; the scoring process makes numbers of them.

The first record names the columns and goes with every portion. Empty lines are no rows. A quoted field may hold line
breaks; a quotation mark is one only where a field begins, as Arrow has it.
"""

from __future__ import annotations

import bz2
import gzip
import re
import zlib
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Final, cast

from converter.predict.portions import CsvForm, Portion, Position, Span
from converter.predict.sources.source import file_identity, table_columns
from fleet_contract.errors import DataError
from fleet_rows.csv_text import read_header
from fleet_rows.limits import MAX_ROW_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from converter.predict.sources.source import Reading

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class CsvSource:
    """See `Source`; a cursor is a byte offset in the text, unpacked where the file is compressed."""

    key = "row"
    total_rows = None

    def __init__(self, path: Path, reading: Reading) -> None:
        self._path = path
        separator = reading.separator or ("\t" if path.suffix.lower() == ".tsv" else ",")
        names = read_header(path, separator=separator)
        self._closed, self._closing = _patterns(separator)
        with self._opened() as (file, _):
            self._header = self._next_record(file, f"{path}: header")
            self._begin = file.tell()
        _check_lines(path, self._header)
        self.form = CsvForm(columns=table_columns(path, names, reading), separator=separator)

    def identity(self) -> str:
        """See `Source.identity`."""
        return file_identity(self._path)

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        size_bytes = max(1, self._path.stat().st_size)
        header = self._header.removeprefix(BYTE_ORDER_MARK).rstrip(b"\r\n") + b"\n"
        index, row = begin.index, begin.row
        with self._opened() as (file, stored):
            file.seek(begin.cursor or self._begin)
            while records := self._records(file, rows, row):
                span = Span(index=index, start=row, count=len(records))
                fraction = min(1.0, stored.tell() / size_bytes)
                yield Portion(span, b"".join((header, *records)), file.tell(), fraction)
                index, row = index + 1, row + len(records)

    @contextmanager
    def _opened(self) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
        """The text, and the file as it is stored."""
        try:
            with self._path.open("rb") as stored, _unpacked(stored, self._path.suffix.lower()) as file:
                yield file, stored
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self._path}: cannot be read: {error}", hint="the file may be truncated") from error

    def _records(self, file: IO[bytes], rows: int, row: int) -> list[bytes]:
        records: list[bytes] = []
        while len(records) < rows:
            record = self._next_record(file, f"{self._path}: row {row + len(records)}")
            if not record:
                break
            if record.rstrip(b"\r\n"):
                records.append(record if record.endswith(b"\n") else record + b"\n")
        return records

    def _next_record(self, file: IO[bytes], what: str) -> bytes:
        """The next record with its line break; empty at the end."""
        line = file.readline(MAX_ROW_BYTES)
        record, opened = line, self._opens(line)
        while opened or len(record) >= MAX_ROW_BYTES:
            line = file.readline(MAX_ROW_BYTES)
            record += line
            if not line or len(record) > MAX_ROW_BYTES:
                raise DataError(
                    f"{what}: got a record without an end within {len(record)} bytes, expected at most {MAX_ROW_BYTES}",
                    hint="look for a quotation mark that is not closed",
                )
            opened = b'"' not in line or not self._closing.fullmatch(line)
        return record

    def _opens(self, line: bytes) -> bool:
        """Whether a line leaves a quoted field open."""
        return b'"' in line and not self._closed.fullmatch(line)


@contextmanager
def _unpacked(stored: IO[bytes], suffix: str) -> Iterator[IO[bytes]]:
    match suffix:
        case ".gz":
            with gzip.open(stored, "rb") as file:
                yield cast("IO[bytes]", file)
        case ".bz2":
            with bz2.open(stored, "rb") as file:
                yield cast("IO[bytes]", file)
        case _:
            yield stored


def _patterns(separator: str) -> tuple[re.Pattern[bytes], re.Pattern[bytes]]:
    """Of a line whose quoted fields all end in it, and of one that first ends a field which is open.

    A quotation mark ends a field unless another follows. That makes each line read in one way only, and without
    possessive quantifiers, which Python 3.11.2 gets wrong.
    """
    rest = rb"[^%s\n]*" % re.escape(separator.encode())
    quoted = rb'[^"]*(?:""[^"]*)*"(?!")' + rest
    more = rb'(?:%s(?:"%s|(?!")%s))*\n?' % (re.escape(separator.encode()), quoted, rest)
    return re.compile(rb'(?:"%s|(?!")%s)' % (quoted, rest) + more), re.compile(quoted + more)


def _check_lines(path: Path, header: bytes) -> None:
    if b"\r" in header.rstrip(b"\r\n"):
        raise DataError(f"{path}: got lines that end in a carriage return alone, expected line feeds at their ends")
