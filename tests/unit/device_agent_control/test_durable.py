"""Files that survive a power cut."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from device_agent.durable import make_folder, write_atomic
from fleet_contract.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_is_replaced_as_a_whole_with_its_mode(tmp_path: Path) -> None:
    """No temporary file stays."""
    file = tmp_path / "f"
    file.write_bytes(b"old")
    write_atomic(file, b"new", mode=0o600)
    assert file.read_bytes() == b"new"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["f"]


def test_a_folder_that_is_not_there_is_a_storage_error(tmp_path: Path) -> None:
    """The message names the file."""
    with pytest.raises(StorageError, match="missing"):
        write_atomic(tmp_path / "missing" / "f", b"")


def test_a_file_in_the_way_of_a_folder_is_a_storage_error(tmp_path: Path) -> None:
    """So is what cannot become a folder."""
    (tmp_path / "f").touch()
    with pytest.raises(StorageError):
        make_folder(tmp_path / "f" / "g")
