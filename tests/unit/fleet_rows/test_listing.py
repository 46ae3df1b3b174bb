"""Which files a source has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import DataError
from fleet_rows.listing import list_files

if TYPE_CHECKING:
    from pathlib import Path


def test_files_come_by_name(tmp_path: Path) -> None:
    """Whatever order the file system has; a single file is itself, whatever its suffix."""
    for name in ("b.csv", "A.CSV", "a.csv", ".c.csv", "d.txt"):
        (tmp_path / name).touch()
    (tmp_path / "folder.csv").mkdir()
    assert [file.name for file in list_files(tmp_path, (".csv",))] == ["A.CSV", "a.csv", "b.csv"]
    assert list_files(tmp_path / "d.txt", (".csv",)) == (tmp_path / "d.txt",)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    """Nothing, a link to nothing, a link to itself, and a folder without such files are four things."""
    (tmp_path / "broken").symlink_to("gone")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "folder").mkdir()
    for name, words in (
        ("missing", "got nothing there"),
        ("broken", "got a symbolic link to nothing"),
        ("loop", "got a symbolic link that leads back to itself"),
        ("folder", "got no file that ends in .csv"),
    ):
        with pytest.raises(DataError, match=words) as caught:
            list_files(tmp_path / name, (".csv",))
        assert name in caught.value.message
