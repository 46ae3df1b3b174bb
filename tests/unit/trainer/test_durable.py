"""Folders and files appear whole or not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConflictError, StorageError
from trainer.durable import new_folder, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_appears_whole(tmp_path: Path) -> None:
    """What was written inside the block is there after it, and no temporary folder is left."""
    with new_folder(tmp_path / "out") as building:
        (building / "a").write_text("x")
        assert not (tmp_path / "out").exists()
    assert (tmp_path / "out" / "a").read_text() == "x"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def interrupted_write(folder: Path) -> None:
    """Writes a file and is interrupted."""
    with new_folder(folder) as building:
        (building / "a").write_text("x")
        raise KeyboardInterrupt


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    """An interrupted block removes what it had written."""
    with pytest.raises(KeyboardInterrupt):
        interrupted_write(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    """A candidate is never written over another."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("x")
    with pytest.raises(ConflictError, match="already exists"), new_folder(tmp_path / "out"):
        pytest.fail("the block must not run")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    """A folder in the place of the file is an error of storage, not a crash."""
    (tmp_path / "taken").mkdir()
    with pytest.raises(StorageError, match="taken"):
        write_file(tmp_path / "taken", b"x")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]
