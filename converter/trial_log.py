"""The search's record on disk: one JSON line per trial, each on the disk before the next begins.

The first line holds a digest of all that decides what a trial gives (model, rows, tools). A file with another digest is
of another search and is begun anew; a last line that a power cut left half-written is dropped.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import msgspec

from converter.search import SearchTrial
from fleet_contract.errors import StorageError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def digest(parts: Iterable[bytes | str]) -> str:
    """One SHA-256 over the parts, each with its length."""
    total = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        total.update(len(data).to_bytes(8, "big"))
        total.update(data)
    return total.hexdigest()


class TrialLog:
    """The record of one search at `path`."""

    def __init__(self, path: Path, key: str) -> None:
        """Opens the record, or begins it anew where it is of another search.

        Raises:
            StorageError: it cannot be read or written.
        """
        self._path = path
        self.known = _read(path, key)
        lines = [msgspec.json.encode({"key": key}), *(msgspec.json.encode(trial) for trial in self.known)]
        write_file(path, b"".join(line + b"\n" for line in lines))

    def add(self, trial: SearchTrial) -> None:
        """Appends a trial.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        try:
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(trial) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageError(f"{self._path}: cannot be written: {error.strerror or error}") from error


def read_trials(path: Path) -> list[SearchTrial]:
    """All trials on record at `path`; none where there is no record."""
    return _trials(path.read_bytes().split(b"\n")[1:]) if path.is_file() else []


def _read(path: Path, key: str) -> list[SearchTrial]:
    try:
        head, *lines = path.read_bytes().split(b"\n")
        if msgspec.json.decode(head) != {"key": key}:
            return []
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror or error}") from error
    return _trials(lines)


def _trials(lines: Iterable[bytes]) -> list[SearchTrial]:
    trials = []
    for line in lines:
        try:
            trials.append(msgspec.json.decode(line, type=SearchTrial))
        except msgspec.DecodeError:  # the last line, cut short
            break
    return trials
