"""A folder of images, with its sub-folders: files in the order of their paths, folder by folder.

Only one folder's names are held at a time. Hidden files and files of other kinds are no rows.
"""

from __future__ import annotations

import hashlib
import os
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from converter.predict.portions import ImagesForm, Portion, Position, Span
from fleet_contract.errors import DataError
from fleet_rows import image_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converter.predict.sources.source import Reading

KINDS: Final = frozenset({*image_file.SUFFIXES, ".bmp", ".gif", ".tif", ".tiff", ".webp"})
"""Files that are rows. Those that training does not read are bad rows, so that none is left out unseen."""


class ImagesSource:
    """See `Source`; a cursor is a row number. Rows are known by their path below the folder."""

    key = "file"

    def __init__(self, folder: Path, reading: Reading) -> None:
        raw = reading.raw
        if len(raw.shape) not in {2, 3} or (len(raw.shape) == 3 and raw.shape[2] not in {1, 3, 4}):
            raise DataError(f"{folder}: got a folder of images, expected rows of shape {list(raw.shape)}")
        self._folder = folder
        self.form = ImagesForm(folder=str(folder.resolve()), images=reading.images)
        self.total_rows: int = sum(1 for _ in _files(folder))
        if self.total_rows == 0:
            raise DataError(f"{folder}: got no image, expected files {', '.join(image_file.SUFFIXES)}")

    def identity(self) -> str:
        """See `Source.identity`."""
        digest = hashlib.sha256()
        for entry in _files(self._folder):
            digest.update(f"{_name(self._folder, entry)}\0{_seen(entry)}\n".encode())
        return digest.hexdigest()

    def portions(self, rows: int, begin: Position) -> Iterator[Portion]:
        """See `Source.portions`."""
        index, row = begin.index, begin.row
        names = islice((_name(self._folder, entry) for entry in _files(self._folder)), row, None)
        while some := list(islice(names, rows)):
            span = Span(index=index, start=row, count=len(some))
            index, row = index + 1, row + len(some)
            yield Portion(span, "\0".join(some).encode(), row, min(1.0, row / self.total_rows))


def holds_image(folder: Path) -> bool:
    """Whether there is an image in the folder or below it."""
    return next(_files(folder), None) is not None


def _files(folder: Path | str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror or error}") from error
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        elif Path(entry.name).suffix.lower() in KINDS:
            yield entry


def _seen(entry: os.DirEntry[str]) -> str:
    try:
        seen = entry.stat()
    except OSError:
        return "unreadable"  # scoring it will name it
    return f"{seen.st_size}\0{seen.st_mtime_ns}"


def _name(folder: Path, entry: os.DirEntry[str]) -> str:
    name = Path(entry.path).relative_to(folder).as_posix()
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{folder}: got a file name {name!r} that is not UTF-8") from error
    return name
