"""Files and folders appear whole or not at all."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConflictError, StorageError
from fleet_files.durable import make_folder, new_folder, replacing_folder, write_file

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    """No temporary file stays."""
    file = tmp_path / "f"
    file.write_bytes(b"old")
    write_file(file, b"new", mode=0o600)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_file_brings_its_folder(tmp_path: Path) -> None:
    """The folders above it are made."""
    write_file(tmp_path / "a" / "b" / "f", b"x")
    assert (tmp_path / "a" / "b" / "f").read_bytes() == b"x"


@pytest.mark.parametrize("name", ["taken", "file/f"])
def test_a_file_that_cannot_be_written_leaves_what_was_there(tmp_path: Path, name: str) -> None:
    """A folder in the place of the file, or a file in the place of its folder, is an error of storage, not a crash."""
    (tmp_path / "taken").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=name):
        write_file(tmp_path / name, b"x")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "taken"]


def test_a_file_in_the_way_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    """So is what cannot become a folder."""
    (tmp_path / "f").touch()
    with pytest.raises(StorageError):
        make_folder(tmp_path / "f" / "g")


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
    """A new folder never goes over another."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a").write_text("x")
    with pytest.raises(ConflictError, match="already exists"), new_folder(tmp_path / "out"):
        pytest.fail("the block must not run")


def test_an_older_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    """Nothing of the old one stays, and no temporary folder either."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").touch()
    with replacing_folder(tmp_path / "out") as staging:
        (staging / "new").touch()
        assert (tmp_path / "out" / "old").exists()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failure_while_writing_leaves_the_old_folder(tmp_path: Path) -> None:
    """What was there stays until what comes is whole, and no temporary folder stays."""
    target = tmp_path / "out"
    target.mkdir()
    (target / "old").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="power"), replacing_folder(target) as staging:  # noqa: PT012  the block is the test
        (staging / "new").write_bytes(b"new")
        raise RuntimeError("power cut")
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_folder_that_cannot_be_made_is_a_storage_error(tmp_path: Path) -> None:
    """A file where a folder should be is told as such."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StorageError, match="cannot be written"), replacing_folder(tmp_path / "file" / "out"):
        pass
