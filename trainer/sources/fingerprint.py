"""Which bytes a source's files hold, without reading again what has not been touched since it was last read.

A file whose size, inode, change and modification times are as remembered is taken to hold what it held. The memory is a
cache in the project's state folder: when it is lost or damaged, files are read again and nothing else happens.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from fleet_contract.codec import encode
from fleet_contract.names import Sha256Str
from fleet_files.durable import write_file
from fleet_rows.listing import cannot_read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

THREADS: Final = 4


class FilePin(Struct, frozen=True, kw_only=True):
    """What a file holds."""

    size_bytes: int
    sha256: Sha256Str


class Stamp(Struct, frozen=True, array_like=True):
    """What tells, without reading, that a file was touched."""

    size_bytes: int
    modified_ns: int
    changed_ns: int
    inode: int


class _Remembered(Struct, frozen=True, array_like=True):
    """A file's stamp when it was last read, and what it held."""

    stamp: Stamp
    sha256: Sha256Str


def stamp_files(files: Sequence[Path]) -> tuple[Stamp, ...]:
    """The stamps of `files`, in order.

    Raises:
        DataError: one is gone or cannot be looked at.
    """
    return tuple(_stamp(file) for file in files)


def fingerprint_files(files: Sequence[Path], cache: Path) -> dict[Path, FilePin]:
    """What each of `files` holds; `cache` is read and brought up to date.

    Raises:
        DataError: a file cannot be read.
        StorageError: the cache cannot be written.
    """
    remembered = _read_cache(cache)
    stamps = dict(zip(files, stamp_files(files), strict=True))
    known = {
        file: found.sha256
        for file, stamp in stamps.items()
        if (found := remembered.get(str(file))) is not None and found.stamp == stamp
    }
    unknown = [file for file in files if file not in known]
    with ThreadPoolExecutor(THREADS) as pool:
        known |= zip(unknown, pool.map(_sha256, unknown), strict=True)
    if unknown:
        write_file(cache, encode({str(file): _Remembered(stamps[file], known[file]) for file in files}))
    return {file: FilePin(size_bytes=stamps[file].size_bytes, sha256=known[file]) for file in files}


def _stamp(file: Path) -> Stamp:
    try:
        found = file.stat()
    except OSError as error:
        raise cannot_read(file, error) from error
    return Stamp(found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino)


def _sha256(file: Path) -> str:
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise cannot_read(file, error) from error


def _read_cache(cache: Path) -> dict[str, _Remembered]:
    """Empty when there is none that can be read: it saves time and proves nothing."""
    try:
        return msgspec.json.decode(cache.read_bytes(), type=dict[str, _Remembered])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
