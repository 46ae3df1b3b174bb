"""Files and folders that are old and whole, or new and whole, never half, also after a power cut.

The rule: write under another name in the same folder, fsync, rename into place, fsync the folder.

    write_file(Path("state.json"), b"{}")
    with replacing_folder(Path("release")) as staging:
        (staging / "release.json").write_bytes(b"{}")
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fleet_contract.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator


def write_file(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Puts `data` at `path`, which is on the disk when this returns; its folder is made where it is missing.

    Raises:
        StorageError: the disk is full or cannot be written; what was at `path` is still there.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise cannot_write(path, error) from error


def sync_folder(folder: Path) -> None:
    """Puts the folder's entries on the disk, so that a rename in it survives a power cut."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


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
    """A folder to fill; it becomes `folder` when the block ends well and is removed when it does not.

    Raises:
        ConflictError: `folder` is not free.
        StorageError: the disk is full or cannot be written.
    """
    require_free(folder)
    with replacing_folder(folder) as building:
        yield building


@contextmanager
def replacing_folder(target: Path) -> Iterator[Path]:
    """A folder to fill; it takes the place of `target` when the block ends well and is removed when it does not.

    Raises:
        StorageError: the disk is full or cannot be written.
    """
    staging: Path | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        staging = _beside(target, "new")
        yield staging
        _swap(staging, target)
    except OSError as error:
        raise cannot_write(target, error) from error
    finally:
        if staging is not None:
            shutil.rmtree(staging, ignore_errors=True)


def cannot_write(path: Path, error: OSError) -> StorageError:
    """The error for a file or folder that cannot be written."""
    return StorageError(
        f"{path}: cannot be written: {error.strerror or error}", hint="make room on the disk, or mend its permissions"
    )


def _swap(staging: Path, target: Path) -> None:
    for path in staging.rglob("*"):
        _sync(path, os.O_RDONLY)
    sync_folder(staging)
    staging.chmod(0o755)
    if target.exists():
        retired = _beside(target, "old")
        target.rename(retired / target.name)
        staging.rename(target)
        shutil.rmtree(retired, ignore_errors=True)
    else:
        staging.rename(target)
    sync_folder(target.parent)


def _beside(target: Path, word: str) -> Path:
    return Path(tempfile.mkdtemp(prefix=f".{target.name}.{word}.", dir=target.parent))


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
