"""A folder of folders of images as a data set: each folder is a class, each PNG or JPEG file in it a row.

All files are read before anything is told, so that one run names every file that is broken, not only the first.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ConfigError, DataError
from fleet_rows.image_file import MODES, SUFFIXES, choose_form, decode_image, read_content
from fleet_rows.listing import is_folder, list_folder
from trainer.data.dataset import Dataset, no_slices
from trainer.sources.limits import require_fits, require_flawless

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_rows.image_file import ImageForm
    from trainer.progress import Progress
    from trainer.settings import DataSection

MAX_THREADS: Final = 8
BLOCK: Final = 50
"""Files that a thread reads at a time."""
TELL_EVERY: Final = 40
"""Blocks after which progress is told."""


@dataclass(frozen=True, slots=True)
class ImageFolder:
    """Class folders by name, with their files by name."""

    path: Path
    classes: dict[str, tuple[Path, ...]]

    @property
    def files(self) -> tuple[Path, ...]:
        """All files, class by class."""
        return tuple(file for files in self.classes.values() for file in files)


def list_images(folder: Path) -> ImageFolder:
    """The class folders of `folder`; hidden files do not count.

    Raises:
        DataError: no class folder, an empty one, an image beside them, or something else in one of them.
    """
    if not is_folder(folder):
        raise DataError(f"{folder}: got a file, expected a folder with one folder a class")
    entries = list_folder(folder)
    stray = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and not is_folder(entry)]
    require_flawless(
        folder, [f"{entry.name}: got an image beside the class folders, expected it in one" for entry in stray]
    )
    classes = {entry.name: tuple(list_folder(entry)) for entry in entries if is_folder(entry)}
    if not classes:
        raise DataError(f"{folder}: got no folder in it, expected one a class")
    empty = [name for name, files in classes.items() if not files]
    require_flawless(folder, [f"class {name!r}: got no image, expected some" for name in empty])
    foreign = [file for files in classes.values() for file in files if _is_foreign(file)]
    require_flawless(
        folder,
        [f"{file.relative_to(folder)}: expected a file that ends in {', '.join(SUFFIXES)}" for file in foreign],
        hint="take out what is not an image; folders in class folders are not read",
    )
    return ImageFolder(folder, classes)


def _is_foreign(file: Path) -> bool:
    return file.suffix.lower() not in SUFFIXES or is_folder(file)


def load_images(folder: ImageFolder, settings: DataSection, *, source: str, progress: Progress) -> Dataset:
    """All images as unsigned bytes (B, H, W, C), read by several threads.

    Raises:
        ConfigError: settings that image folders do not have.
        DataError: files that cannot be read or have another form; all are counted, the first few named.
    """
    _check_settings(settings)
    files = folder.files
    try:
        form = _form(folder, settings)
    except ValueError as error:
        raise DataError(f"{folder.path}: {files[0].relative_to(folder.path)}: {error}") from error
    require_fits(source, len(files) * int(np.prod(form.shape)), settings.max_bytes)
    sizes = [len(members) for members in folder.classes.values()]
    return Dataset(
        inputs_B=_read_all(folder, files, form, progress),
        labels_B=np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
        label_names=tuple(folder.classes),
        slices_B=no_slices(len(files)),
        source=source,
        images=form.input,
    )


def require_channels(channels: int) -> None:
    """Passes for 0 (as the images), 1 (grey), 3 (RGB) and 4 (RGBA).

    Raises:
        ConfigError: another number.
    """
    if channels not in (0, *MODES):
        raise ConfigError(f"[data] channels: got {channels}, expected 1 (grey), 3 (RGB), 4 (RGBA), or 0 (as they are)")


def _check_settings(settings: DataSection) -> None:
    require_channels(settings.channels)
    for name in ("features", "slices", "group", "time", "shape"):
        if getattr(settings, name):
            raise ConfigError(f"[data] {name}: an image folder has no such thing", hint="take it out")


def _form(folder: ImageFolder, settings: DataSection) -> ImageForm:
    """The form that is asked for, or that of the first image that can be read."""
    failure = ValueError("got no image")
    for file in folder.files:
        try:
            return choose_form(read_content(file), settings.image_size, settings.channels)
        except ValueError as error:
            failure = error
    raise failure


def _read_all(folder: ImageFolder, files: Sequence[Path], form: ImageForm, progress: Progress) -> NDArray[np.uint8]:
    images_BHWC = np.empty((len(files), *form.shape), np.uint8)

    def read(start: int) -> list[str]:
        block = range(start, min(start + BLOCK, len(files)))
        return [flaw for index in block if (flaw := _read_one(folder, files[index], form, images_BHWC[index]))]

    flaws: list[str] = []
    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for number, found in enumerate(pool.map(read, range(0, len(files), BLOCK)), start=1):
            flaws += found
            if number % TELL_EVERY == 0:
                progress.remark(f"read {number * BLOCK:,} of {len(files):,} images")
    hint = "mend or remove them; images of several sizes or channels need [data] image_size = [H, W] and channels = N"
    require_flawless(folder.path, flaws, hint=hint)
    return images_BHWC


def _read_one(folder: ImageFolder, file: Path, form: ImageForm, image_HWC: NDArray[np.uint8]) -> str:
    """Reads `file` into `image_HWC`; returns what is wrong with it, or nothing."""
    try:
        image_HWC[:] = decode_image(read_content(file), form)
    except ValueError as error:
        return f"{file.relative_to(folder.path)}: {error}"
    return ""
