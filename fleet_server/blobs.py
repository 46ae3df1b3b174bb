"""The content-addressed store of immutable files: a blob is there whole and true to its hash, or not at all.

    upload = blobs.begin()
    upload.write(chunk)
    upload.finish(sha256)        # checks the hash; DataError and nothing stored where it differs

`LocalBlobs` keeps them in a folder, `blobs/ab/abcd...`, uploads in `incoming/` until they are complete.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from fleet_contract.errors import ContractError, DataError, NotFoundError, StorageError
from fleet_contract.names import parse_sha256
from fleet_files.durable import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

CHUNK_BYTES = 1024 * 1024


class Upload(Protocol):
    """A blob on its way in."""

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes."""
        ...

    def finish(self, sha256: str) -> int:
        """Stores the blob when its bytes have that hash, and returns its size in bytes."""
        ...

    def abandon(self) -> None:
        """Forgets the upload; harmless after `finish`."""
        ...


@runtime_checkable
class Blobs(Protocol):
    """Where blobs are."""

    def size_bytes(self, sha256: str) -> int | None:
        """A blob's size; None where there is no such blob."""
        ...

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """A whole small blob."""
        ...

    def stream(self, sha256: str, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`, in chunks of at most CHUNK_BYTES."""
        ...

    def begin(self) -> Upload:
        """A new upload."""
        ...


def put_blob(blobs: Blobs, data: bytes) -> str:
    """Stores `data` and returns its SHA-256; nothing happens when it is there."""
    sha256 = hashlib.sha256(data).hexdigest()
    if blobs.size_bytes(sha256) is None:
        upload = blobs.begin()
        try:
            upload.write(data)
            upload.finish(sha256)
        finally:
            upload.abandon()
    return sha256


class LocalBlobs:
    """Blobs in a local folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        self._incoming.mkdir(parents=True, exist_ok=True)
        for leftover in self._incoming.iterdir():
            leftover.unlink(missing_ok=True)  # an upload that the last run did not finish

    def size_bytes(self, sha256: str) -> int | None:
        """A blob's size; None where there is no such blob."""
        try:
            return self._path(sha256).stat().st_size
        except FileNotFoundError:
            return None

    def read(self, sha256: str, *, max_bytes: int) -> bytes:
        """A whole blob of at most `max_bytes`.

        Raises:
            NotFoundError: there is no such blob.
            ContractError: it is larger.
            DataError: its bytes have rotted on the disk.
        """
        size_bytes = self._known_size(sha256)
        if size_bytes > max_bytes:
            raise ContractError.mismatch(f"blob {sha256}", got=f"{size_bytes} bytes", expected=f"at most {max_bytes}")
        data = b"".join(self.stream(sha256, 0, size_bytes))
        if hashlib.sha256(data).hexdigest() != sha256:
            raise DataError(f"blob {sha256}: its bytes have another hash", hint="restore it from a backup")
        return data

    def stream(self, sha256: str, start: int, length: int) -> Iterator[bytes]:
        """`length` bytes from `start`, in chunks of at most CHUNK_BYTES.

        Raises:
            NotFoundError: there is no such blob.
            StorageError: it is shorter than asked for, or cannot be read.
        """
        self._known_size(sha256)
        try:
            with self._path(sha256).open("rb", buffering=0) as file:
                file.seek(start)
                while length > 0:
                    chunk = file.read(min(CHUNK_BYTES, length))
                    if not chunk:
                        raise StorageError(f"blob {sha256}: ends {length} bytes too early")
                    length -= len(chunk)
                    yield chunk
        except OSError as error:
            raise StorageError(f"blob {sha256}: {error.strerror}") from error

    def begin(self) -> LocalUpload:
        """A new upload.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        temporary = self._incoming / secrets.token_hex(16)
        try:
            return LocalUpload(temporary.open("xb"), temporary, self._folder)
        except OSError as error:
            raise StorageError(f"blob store: {error.strerror}", hint="make room on the disk") from error

    def _known_size(self, sha256: str) -> int:
        size_bytes = self.size_bytes(sha256)
        if size_bytes is None:
            raise NotFoundError(f"blob {sha256}: there is none")
        return size_bytes

    def _path(self, sha256: str) -> Path:
        return blob_path(self._folder, sha256)


class LocalUpload:
    """A blob on its way into a local folder."""

    def __init__(self, file: BinaryIO, temporary: Path, folder: Path) -> None:
        self._file = file
        self._temporary = temporary
        self._folder = folder
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            StorageError: the disk is full.
        """
        self._hash.update(chunk)
        self._size_bytes += len(chunk)
        try:
            self._file.write(chunk)
        except OSError as error:
            raise StorageError(f"blob store: {error.strerror}", hint="make room on the disk") from error

    def finish(self, sha256: str) -> int:
        """Stores the blob when its bytes have that hash, and returns its size in bytes.

        Raises:
            DataError: they have another hash; nothing is stored.
            StorageError: the disk is full.
        """
        got = self._hash.hexdigest()
        if got != sha256:
            raise DataError(f"blob: got bytes with hash {got}, expected {sha256}", hint="upload it again")
        target = blob_path(self._folder, sha256)
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            target.parent.mkdir(exist_ok=True)
            self._temporary.replace(target)
            sync_folder(target.parent)
            sync_folder(self._folder)
        except OSError as error:
            raise StorageError(f"blob store: {error.strerror}", hint="make room on the disk") from error
        return self._size_bytes

    def abandon(self) -> None:
        """Forgets the upload; harmless after `finish`."""
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def blob_path(folder: Path, sha256: str) -> Path:
    """Where a blob is in its folder.

    Raises:
        ContractError: `sha256` is no digest; nothing else may become a path.
    """
    digest = parse_sha256(sha256)
    return folder / digest[:2] / digest
