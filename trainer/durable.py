"""Writes that survive a power cut: temporary file, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_contract.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_file(path: Path, data: bytes) -> None:
    """Puts `data` at `path`, whole or not at all.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            try:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                temporary.chmod(0o644)
                temporary.replace(path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}") from error


def require_free(folder: Path) -> None:
    """Passes when nothing is at `folder`, or an empty folder.

    Raises:
        ConflictError: there is something.
    """
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists():
        raise ConflictError(f"{folder}: already exists", hint="name another folder with --out")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends well, and vanishes when it does not.

    Raises:
        ConflictError: `folder` is not free.
        StorageError: the disk is full or cannot be written.
    """
    require_free(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        building = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    except OSError as error:
        raise StorageError(f"{folder}: cannot be created: {error}") from error
    try:
        yield building
        _publish(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _publish(building: Path, folder: Path) -> None:
    try:
        for path in building.rglob("*"):
            if path.is_file():
                _sync(path)
        sync_folder(building)
        building.chmod(0o755)
        building.replace(folder)
        sync_folder(folder.parent)
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error}") from error


def sync_folder(folder: Path) -> None:
    """Makes renames in `folder` durable."""
    _sync(folder)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
