"""The folder that one server owns: made on demand, locked while it runs."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from fleet_contract.errors import ConflictError, StorageError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def owned(folder: Path) -> Iterator[Path]:
    """The folder, this process's alone until the context ends; the lock goes with the process, however it dies.

    Raises:
        ConflictError: another server runs on it.
        StorageError: it cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "server.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StorageError(f"state folder {folder}: {error.strerror}", hint="name another with --state-dir") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield folder
    except BlockingIOError:
        raise ConflictError(f"state folder {folder}: another server runs on it", hint="stop that one first") from None
    finally:
        os.close(descriptor)


def remembered_port(folder: Path) -> int:
    """The broker's port of the last run, 0 for none: devices keep the address that they enrolled with."""
    try:
        return int((folder / "broker.port").read_text())
    except (FileNotFoundError, ValueError):
        return 0


def remember_port(folder: Path, port: int) -> None:
    """Keeps the broker's port for the next run."""
    if remembered_port(folder) != port:
        write_file(folder / "broker.port", f"{port}\n".encode())
