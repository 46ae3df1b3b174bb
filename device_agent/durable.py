"""Files that survive a power cut: whole and old, or whole and new, never half."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from fleet_contract.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Replaces `path` by `data`, which is on the disk when this returns.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    temporary = path.with_name(f".{path.name}.new")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync_folder(folder: Path) -> None:
    """Puts the folder's entries on the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, *, mode: int = 0o755) -> Path:
    """The folder, made with its parents where it is missing.

    Raises:
        StorageError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder


def cannot_write(path: Path, error: OSError) -> StorageError:
    """The error for a file or folder that cannot be written."""
    return StorageError(
        f"{path}: cannot be written: {error.strerror or error}", hint="make room on the disk, or mend its permissions"
    )
