"""Which files a source is made of, in an order that is the same on every machine."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def list_files(path: Path, suffixes: Sequence[str]) -> tuple[Path, ...]:
    """`path` itself, or, where it is a folder, the files in it that end in one of `suffixes`, by name.

    Hidden files and folders below are left alone.

    Raises:
        DataError: nothing is there, a link leads back to itself, or a folder holds no such file.
    """
    if not is_folder(path):
        return (path,)
    found = [entry for entry in list_folder(path) if entry.name.lower().endswith(tuple(suffixes))]
    files = tuple(entry for entry in found if not is_folder(entry))
    if not files:
        raise DataError(f"{path}: got no file that ends in {', '.join(suffixes)}, expected at least one")
    return files


def list_folder(folder: Path) -> list[Path]:
    """Everything in `folder` that is not hidden, by name.

    Raises:
        DataError: it cannot be read.
    """
    try:
        return sorted((entry for entry in folder.iterdir() if not entry.name.startswith(".")), key=_by_name)
    except OSError as error:
        raise cannot_read(folder, error) from error


def is_folder(path: Path) -> bool:
    """Whether `path` is a folder or a link to one; False for a file.

    Raises:
        DataError: there is neither, or a link leads back to itself.
    """
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except OSError as error:
        raise cannot_read(path, error) from error


def cannot_read(path: Path, error: OSError) -> DataError:
    """The error for a file or folder that cannot be read."""
    if error.errno == errno.ELOOP:
        return DataError(f"{path}: got a symbolic link that leads back to itself, expected a file or a folder")
    if error.errno == errno.ENOENT:
        broken = "a symbolic link to nothing" if path.is_symlink() else "nothing there"
        return DataError(f"{path}: got {broken}, expected a file or a folder")
    return DataError(f"{path}: cannot be read: {error.strerror or error}")


def _by_name(path: Path) -> str:
    return path.name
