"""What stands in a folder of folders of images: class folders with their files, and everything in it that is neither.

A fault does not end the listing, so that those found here are told together with those found in reading.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import DataError
from fleet_rows.image_file import SUFFIXES
from fleet_rows.listing import cannot_read, is_folder, list_folder

if TYPE_CHECKING:
    from pathlib import Path

UNREACHABLE: Final = "that cannot be reached"
STRAY: Final = "beside the class folders"
EMPTY: Final = "without an image"
FOLDERS: Final = "that are folders"
FOREIGN: Final = "that end otherwise"


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Class folders by name, with their files by name, and what is wrong by its kind."""

    path: Path
    classes: dict[str, tuple[Path, ...]]
    faults: dict[str, list[str]] = field(default_factory=dict)

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, class by class."""
        return tuple(file for files in self.classes.values() for file in files)


def list_images(folder: Path) -> ImageFolder:
    """The class folders of `folder`; hidden files do not count.

    Raises:
        DataError: it is no folder, or there is no folder in it.
    """
    if not is_folder(folder):
        raise DataError(f"{folder}: got a file, expected a folder with one folder a class")
    found = ImageFolder(folder, {})
    for entry in list_folder(folder):
        _add(found, entry)
    if not (found.classes or found.faults):
        raise DataError(f"{folder}: got no folder in it, expected one a class")
    return found


def _add(found: ImageFolder, entry: Path) -> None:
    """A class, or what is wrong with something beside the classes; papers there are left alone."""
    folder = _is_folder(found, entry)
    if folder:
        found.classes[entry.name] = _list_class(found, entry)
    elif folder is not None and entry.suffix.lower() in SUFFIXES:
        _tell(found, STRAY, entry, "got an image beside the class folders, expected it in one")


def _list_class(found: ImageFolder, folder: Path) -> tuple[Path, ...]:
    try:
        entries = list_folder(folder)
    except DataError as error:
        _tell(found, UNREACHABLE, folder, _without_path(error, folder))
        return ()
    if not entries:
        found.faults.setdefault(EMPTY, []).append(f"class {folder.name!r}: got no image, expected some")
    return tuple(entry for entry in entries if _is_image(found, entry))


def _is_image(found: ImageFolder, entry: Path) -> bool:
    folder = _is_folder(found, entry)
    if folder:
        _tell(found, FOLDERS, entry, "got a folder, expected an image: folders in class folders are not read")
    elif folder is not None and entry.suffix.lower() not in SUFFIXES:
        _tell(found, FOREIGN, entry, f"expected a file that ends in {', '.join(SUFFIXES)}")
    return folder is False and entry.suffix.lower() in SUFFIXES


def _is_folder(found: ImageFolder, entry: Path) -> bool | None:
    """None where it cannot be told, which is told."""
    try:
        return stat.S_ISDIR(entry.stat().st_mode)
    except OSError as error:
        _tell(found, UNREACHABLE, entry, _without_path(cannot_read(entry, error), entry))
        return None


def _tell(found: ImageFolder, kind: str, entry: Path, words: str) -> None:
    found.faults.setdefault(kind, []).append(f"{entry.relative_to(found.path)}: {words}")


def _without_path(error: DataError, path: Path) -> str:
    return error.message.removeprefix(f"{path}: ")
