"""CSV: the reader only finds where records end, by lines and quotes; the scoring process makes numbers of them.

The first record names the columns. Blank lines are no rows. A quoted field may hold line breaks.
"""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING, BinaryIO, Final

from converter.predict.portions import CsvForm, Portion, Position, Span
from converter.predict.sources.source import choose_columns, file_identity
from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from fleet_contract.tensors import TensorSpec

MAX_RECORD_BYTES: Final = 64 * 1024**2
BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"


class CsvSource:
    """See `Source`; a cursor is a byte offset."""

    key = "row"
    total_rows = None

    def __init__(self, path: Path, raw: TensorSpec, columns: Sequence[str]) -> None:
        self._path = path
        delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        header, self._begin = _read_header(path, delimiter)
        self.form = CsvForm(header=header, columns=choose_columns(path, header, columns, raw), delimiter=delimiter)

    def identity(self) -> str:
        """See `Source.identity`."""
        return file_identity(self._path)

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        size_bytes = max(1, self._path.stat().st_size)
        index, row = begin.index, begin.row
        with self._path.open("rb") as file:
            file.seek(begin.cursor or self._begin)
            while records := self._records(file, rows, row):
                cursor = file.tell()
                span = Span(index=index, start=row, count=len(records))
                yield Portion(span, b"".join(records), cursor, cursor / size_bytes)
                index, row = index + 1, row + len(records)

    def _records(self, file: BinaryIO, rows: int, row: int) -> list[bytes]:
        records: list[bytes] = []
        while len(records) < rows:
            record = _next_record(file, f"{self._path}: row {row + len(records)}")
            if not record:
                break
            if record.strip() or len(self.form.header) == 1:
                records.append(record if record.endswith(b"\n") else record + b"\n")
        return records


def _next_record(file: BinaryIO, what: str) -> bytes:
    """The next record with its line break; empty at the end."""
    record = file.readline(MAX_RECORD_BYTES)
    if record.count(b'"') % 2 == 0 and (record.endswith(b"\n") or len(record) < MAX_RECORD_BYTES):
        return record
    while record.count(b'"') % 2 or not record.endswith(b"\n"):
        line = file.readline(MAX_RECORD_BYTES)
        record += line
        if not line or len(record) > MAX_RECORD_BYTES:
            raise DataError(
                f"{what}: got a record without an end within {len(record)} bytes, expected at most {MAX_RECORD_BYTES}",
                hint="look for a quotation mark that is not closed",
            )
    return record


def _read_header(path: Path, delimiter: str) -> tuple[tuple[str, ...], int]:
    """The names of the columns, and where the first row begins."""
    try:
        with path.open("rb") as file:
            record = _next_record(file, f"{path}: header")
            begin = file.tell()
        text = record.removeprefix(BYTE_ORDER_MARK).decode()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: header: got bytes that are not UTF-8: {error}") from error
    header = tuple(next(csv.reader([text], delimiter=delimiter), []))
    _check_header(path, header)
    return header, begin


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    if not header:
        raise DataError(f"{path}: got an empty file, expected a header and rows")
    if all(_is_number(name) for name in header):
        raise DataError(f"{path}: got only numbers in the first line, expected the names of the columns")
    if len(set(header)) != len(header):
        (twice, _), *_ = Counter(header).most_common(1)
        raise DataError(f"{path}: header: got column {twice!r} twice, expected each name once")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
