"""Pins: what is said about a source that changed, and the file they are kept in."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from fleet_contract.errors import ConfigError
from trainer.sources.fingerprint import FilePin
from trainer.sources.pin import SnapshotPin, describe_change, read_pin, write_pin

if TYPE_CHECKING:
    from pathlib import Path


def file_pin(letter: str) -> FilePin:
    """A file that holds something of that letter."""
    return FilePin(size_bytes=1, sha256=letter * 64)


OLD = SnapshotPin(
    source="csv:d", snapshot_sha256="a" * 64, row_count=1200, files={"x.csv": file_pin("1"), "y.csv": file_pin("2")}
)
CHANGED: dict[str, tuple[dict[str, object], str]] = {
    "more rows in a changed and a new file": (
        {"row_count": 1250, "files": {"x.csv": file_pin("3"), "y.csv": file_pin("2"), "z.csv": file_pin("4")}},
        "the source changed: 1,250 rows, 50 more than before; files: 1 new (z.csv), 1 changed (x.csv)"),
    "a file gone": (
        {"row_count": 700, "files": {"x.csv": file_pin("1")}},
        "the source changed: 700 rows, 500 fewer than before; files: 1 gone (y.csv)"),
    "another source": (
        {"source": "npz:d", "files": {}},
        "it was csv:d, it is npz:d; 1,200 rows as before, not the same; files: 2 gone (x.csv, y.csv)"),
    "other settings": ({}, "no file changed, so the settings of [data] or the schema take other rows"),
    "many files": (
        {"files": {**OLD.files, **{f"{number}.csv": file_pin("5") for number in range(8)}}},
        "8 new (0.csv, 1.csv, 2.csv, 3.csv, 4.csv, and 3 more)"),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), CHANGED.values(), ids=CHANGED)
def test_a_change_is_told_in_words(changes: dict[str, object], words: str) -> None:
    """Rows first, then which files."""
    assert words in describe_change(OLD, structs.replace(OLD, snapshot_sha256="b" * 64, **changes))


def test_the_same_rows_in_other_files_are_no_change() -> None:
    """A table that was compressed anew holds what it held."""
    assert describe_change(OLD, structs.replace(OLD, files={"x.csv": file_pin("9")})) == ""


def test_a_pin_is_read_as_it_was_written(tmp_path: Path) -> None:
    """And no pin is none."""
    path = tmp_path / "snapshot.json"
    assert read_pin(path) is None
    write_pin(path, OLD)
    assert read_pin(path) == OLD


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"schema":1,"surprise":2}'])
def test_a_damaged_pin_is_an_error(tmp_path: Path, content: bytes) -> None:
    """It is not taken for no pin, which would let everything pass."""
    path = tmp_path / "snapshot.json"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"snapshot\.json"):
        read_pin(path)
