"""The blob store: whole and true to its hash, or not at all."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ContractError, DataError, NotFoundError
from fleet_server.blobs import LocalBlobs, put_blob

if TYPE_CHECKING:
    from pathlib import Path

CONTENT = b"weights" * 300_000


def test_what_goes_in_comes_out_whole_and_in_parts(tmp_path: Path) -> None:
    """The same bytes, from any start."""
    blobs = LocalBlobs(tmp_path)
    digest = put_blob(blobs, CONTENT)
    assert put_blob(blobs, CONTENT) == digest
    assert blobs.size_bytes(digest) == len(CONTENT)
    assert blobs.read(digest, max_bytes=len(CONTENT)) == CONTENT
    assert b"".join(blobs.stream(digest, 5, 11)) == CONTENT[5:16]


def test_an_upload_that_is_abandoned_or_wrong_leaves_nothing(tmp_path: Path) -> None:
    """No half blob is ever visible, nor left on the disk."""
    blobs = LocalBlobs(tmp_path)
    upload = blobs.begin()
    upload.write(b"half")
    with pytest.raises(DataError):
        upload.finish("0" * 64)
    upload.abandon()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_a_killed_server_left_behind_is_swept_up(tmp_path: Path) -> None:
    """Unfinished uploads do not fill the disk over the years."""
    LocalBlobs(tmp_path)
    (tmp_path / "incoming" / "0123").write_bytes(b"half")
    LocalBlobs(tmp_path)
    assert list((tmp_path / "incoming").iterdir()) == []


def test_rotten_missing_oversized_and_ill_named_blobs_are_refused(tmp_path: Path) -> None:
    """Each in its own family."""
    blobs = LocalBlobs(tmp_path)
    digest = put_blob(blobs, CONTENT)
    with pytest.raises(ContractError):
        blobs.read(digest, max_bytes=10)
    (tmp_path / digest[:2] / digest).write_bytes(b"rot")
    with pytest.raises(DataError):
        blobs.read(digest, max_bytes=10)
    with pytest.raises(NotFoundError):
        blobs.read(hashlib.sha256(b"none").hexdigest(), max_bytes=10)
    for name in ("../../etc/passwd", "A" * 64, "", digest + "\n"):
        with pytest.raises(ContractError):
            blobs.size_bytes(name)
