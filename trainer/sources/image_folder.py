"""A folder of folders of images as a data set: each folder is a class, each PNG or JPEG file in it a row.

All files are read before anything is told, so that one run names every file that is broken, not only the first.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ConfigError, DataError
from fleet_rows.image_file import MODES, ImageError, choose_form, decode_image, read_content
from trainer.data.dataset import Dataset, no_slices
from trainer.data.places import Places
from trainer.sources.limits import require_fits, require_no_faults

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_rows.image_file import ImageForm
    from trainer.progress import Progress
    from trainer.settings import DataSection
    from trainer.sources.image_listing import ImageFolder

MAX_THREADS: Final = 8
BLOCK: Final = 50
"""Files that a thread reads at a time."""
TELL_EVERY: Final = 40
"""Blocks after which progress is told."""
HINT: Final = (
    "mend them or take them out; images of several sizes or channels need [data] image_size = [H, W] and channels = N"
)


class Faults:
    """What the listing of a folder found wrong, and then its reading, by kind."""

    def __init__(self, folder: ImageFolder) -> None:
        self._path = folder.path
        self._found = {kind: list(words) for kind, words in folder.faults.items()}

    def add(self, file: Path, fault: ImageError) -> None:
        """Counts what is wrong with `file`."""
        words = str(fault).removeprefix(f"{file}: ")
        self._found.setdefault(fault.kind, []).append(f"{file.relative_to(self._path)}: {words}")

    def require_none(self) -> None:
        """Passes when there are none.

        Raises:
            DataError: there are; the first few of each kind are named, all are counted.
        """
        require_no_faults(self._path, self._found, hint=HINT)


def load_images(folder: ImageFolder, settings: DataSection, *, source: str, progress: Progress) -> Dataset:
    """All images as unsigned bytes (B, H, W, C), read by several threads.

    Raises:
        ConfigError: settings that image folders do not have.
        DataError: whatever its listing or its reading finds wrong; all faults are counted, a few of each kind named.
    """
    _check_settings(settings)
    form = _form(folder, settings)
    require_fits(source, len(folder.files) * int(np.prod(form.shape)), settings.max_bytes)
    sizes = [len(members) for members in folder.classes.values()]
    return Dataset(
        inputs_B=_read_all(folder, form, progress),
        labels_B=np.repeat(np.arange(len(sizes), dtype=np.int64), sizes),
        label_names=tuple(folder.classes),
        slices_B=no_slices(sum(sizes)),
        source=source,
        images=form.input,
        places=Places.of([str(file.relative_to(folder.path)) for file in folder.files], [1] * sum(sizes)),
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
    """The form that is asked for, or that of the first image that can be read.

    Raises:
        DataError: none can.
    """
    faults = Faults(folder)
    for file in folder.files:
        try:
            return choose_form(read_content(file), settings.image_size, settings.channels)
        except ImageError as fault:
            faults.add(file, fault)
    faults.require_none()
    raise DataError(f"{folder.path}: got no image, expected some")


def _read_all(folder: ImageFolder, form: ImageForm, progress: Progress) -> NDArray[np.uint8]:
    files, faults = folder.files, Faults(folder)
    images_BHWC = np.empty((len(files), *form.shape), np.uint8)

    def read(start: int) -> list[tuple[Path, ImageError]]:
        block = range(start, min(start + BLOCK, len(files)))
        found = ((files[index], _read_one(files[index], form, images_BHWC[index])) for index in block)
        return [(file, fault) for file, fault in found if fault is not None]

    with ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1)) as pool:
        for number, found in enumerate(pool.map(read, range(0, len(files), BLOCK)), start=1):
            for file, fault in found:
                faults.add(file, fault)
            if number % TELL_EVERY == 0:
                progress.remark(f"read {min(number * BLOCK, len(files)):,} of {len(files):,} images")
    faults.require_none()
    return images_BHWC


def _read_one(file: Path, form: ImageForm, image_HWC: NDArray[np.uint8]) -> ImageError | None:
    """Reads `file` into `image_HWC`; returns what is wrong with it, if anything."""
    try:
        image_HWC[:] = decode_image(read_content(file), form)
    except ImageError as fault:
        return fault
    return None
