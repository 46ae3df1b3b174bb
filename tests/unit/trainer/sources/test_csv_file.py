"""CSV files: headers, batches, and every fault by its row."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import DataError
from fleet_rows.limits import MAX_ROW_BYTES
from trainer.sources.csv_file import open_csv

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, **options: str) -> list[dict[str, object]]:
    """All rows of all columns."""
    table = open_csv(path, **options)
    return [row for batch in table.batches(table.columns) for row in batch.to_pylist()]


@pytest.mark.parametrize(
    ("content", "separator"),
    [
        (b'a,b\n1,x\n2,"y,\nz"\n', ","),
        (b'\xef\xbb\xbfa,b\r\n1,x\r\n2,"y,\nz"\r\n', ","),
        (b'a;b\n1;x\n2;"y,\nz"', ";"),
        (b'"a"\tb\n1\tx\n\n2\t"y,\nz"\n', "\t"),
    ],
    ids=["plain", "windows with a byte order mark", "semicolons without a last line end", "tabs and an empty line"],
)  # fmt: skip
def test_dialects_give_the_same_rows(tmp_path: Path, content: bytes, separator: str) -> None:
    """Line ends, quotes, byte order marks and separators are form, not content."""
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    assert read(path, separator=separator) == [{"a": "1", "b": "x"}, {"a": "2", "b": "y,\nz"}]


def test_a_compressed_file_is_read(tmp_path: Path) -> None:
    """The suffix .gz says how."""
    path = tmp_path / "d.csv.gz"
    path.write_bytes(gzip.compress(b"a\n1\n"))
    assert read(path) == [{"a": "1"}]


def test_words_for_missing_values_are_missing(tmp_path: Path) -> None:
    """Empty, NA, NaN and null hold nothing; `none` and `0` do."""
    path = tmp_path / "d.csv"
    path.write_text('a,b\n,NA\nNaN,null\n"",n/a\nnone,0\n')
    assert [list(row.values()) for row in read(path)] == [[None, None]] * 3 + [["none", "0"]]


def test_ragged_rows_are_counted_and_named(tmp_path: Path) -> None:
    """Every row that does not fit the header counts; the first five are shown."""
    path = tmp_path / "d.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 10 + "1,2\n" * 3 + "1,2,3,4\n" * 4)
    with pytest.raises(DataError) as caught:
        read(path)
    message = caught.value.message
    assert "d.csv: got 7 faults" in message
    assert "row 10: got 2 values, expected 3: '1,2'" in message
    assert "row 13: got 4 values, expected 3" in message
    assert "and 2 more" in message


def test_a_byte_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    """Row and column, far from the start of the file too."""
    path = tmp_path / "d.csv"
    filler = b"1,abcdefgh\n"
    count = MAX_ROW_BYTES // len(filler) + 1000
    path.write_bytes(b"n,name\n" + filler * count + b"2,caf\xe9\n")
    with pytest.raises(DataError, match=rf"row {count:,}, column 'name': got bytes that are not UTF-8") as caught:
        read(path)
    assert "iconv" in caught.value.hint


def test_ragged_rows_that_are_not_utf8_are_named_by_their_bytes(tmp_path: Path) -> None:
    """Text that cannot be shown is not shown; where it starts is."""
    path = tmp_path / "d.csv"
    path.write_bytes(b"a,b\n1,2\ncaf\xe9\n")
    with pytest.raises(DataError, match="got bytes that are not UTF-8 near byte 11"):
        read(path)


HEADERS: dict[str, tuple[bytes, str]] = {
    "an empty file": (b"", "got an empty file"),
    "line ends only": (b"\n\r\n", "got an empty file"),
    "a name twice": (b"a,b,a\n1,2,3\n", "got 1 names more than once ('a')"),
    "a column without a name": (b",a\n0,1\n", "column 0 has no name"),
    "a name that is not UTF-8": (b"a,caf\xe9\n1,2\n", "not UTF-8"),
    "another separator": (b"a;b\n1;2\n", "got one column 'a;b'"),
    "too many columns": (b"," * 20_000 + b"\n", "got 20,001 columns, expected at most 16,384"),
    "a header without an end": (b"a" * 5_000_000, "no line end in 4,194,304 bytes"),
}


@pytest.mark.parametrize(("content", "words"), HEADERS.values(), ids=HEADERS)
def test_refuses_the_header(tmp_path: Path, content: bytes, words: str) -> None:
    """A faulty header is refused before any row is read."""
    path = tmp_path / "d.csv"
    path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_csv(path)
    assert "d.csv" in caught.value.message
    assert words in caught.value.message


def test_a_row_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """A quote that is never closed must not swallow a whole file into memory."""
    path = tmp_path / "d.csv"
    path.write_bytes(b'a,b\n1,"x\n' + b"1,x\n" * (MAX_ROW_BYTES // 2))
    with pytest.raises(DataError, match=r"got a row of more than 8,388,608 bytes") as caught:
        read(path)
    assert "quote" in caught.value.hint
