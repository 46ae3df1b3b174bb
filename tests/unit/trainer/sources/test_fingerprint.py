"""Hashes of files, remembered while the files are not touched."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import DataError
from trainer.sources.fingerprint import fingerprint_files

if TYPE_CHECKING:
    from pathlib import Path


def sha256(content: bytes) -> str:
    """The hash as it is pinned."""
    return hashlib.sha256(content).hexdigest()


def test_a_touched_file_is_read_again(tmp_path: Path) -> None:
    """Also when its size and modification time are what they were."""
    file, cache = tmp_path / "d", tmp_path / "cache.json"
    file.write_bytes(b"one")
    stamp = file.stat()
    assert fingerprint_files([file], cache)[file].sha256 == sha256(b"one")
    file.write_bytes(b"two")
    os.utime(file, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert fingerprint_files([file], cache)[file].sha256 == sha256(b"two")


def test_an_untouched_file_is_not_read_again(tmp_path: Path) -> None:
    """What the cache says about it is taken."""
    file, cache = tmp_path / "d", tmp_path / "cache.json"
    file.write_bytes(b"one")
    fingerprint_files([file], cache)
    cache.write_bytes(cache.read_bytes().replace(sha256(b"one").encode(), sha256(b"marker").encode()))
    assert fingerprint_files([file], cache)[file].sha256 == sha256(b"marker")


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"d":[[1],"x"]}'])
def test_a_damaged_cache_costs_time_only(tmp_path: Path, damage: bytes) -> None:
    """Files are read again, and the cache is whole again."""
    file, cache = tmp_path / "d", tmp_path / "cache.json"
    file.write_bytes(b"one")
    cache.write_bytes(damage)
    assert fingerprint_files([file], cache)[file].sha256 == sha256(b"one")
    assert sha256(b"one").encode() in cache.read_bytes()


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    """Nothing is pinned then."""
    with pytest.raises(DataError, match="gone: got nothing there"):
        fingerprint_files([tmp_path / "gone"], tmp_path / "cache.json")
    assert not (tmp_path / "cache.json").exists()
