"""BasicMotions from the files in aeon's wheel: accelerometer and gyroscope of a smart watch, 6 channels at 10 Hz.

80 recordings of 10 s, 20 of each of 4 activities, are cut into windows of 4 s, each beginning 2 s after the one before.
Windows of a recording form a group, so that a split cannot tear it apart. aeon itself is not imported: it would need
numba and an older pandas, and only its files are wanted.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import DataError, MissingExtraError
from trainer.data.dataset import Dataset, no_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

LABEL_NAMES: Final = ("Standing", "Running", "Walking", "Badminton")
CHANNELS: Final = 6
STEPS: Final = 100
WINDOW_STEPS: Final = 40
HOP_STEPS: Final = 20
FILES: Final = ("BasicMotions_TRAIN.ts", "BasicMotions_TEST.ts")
HINT: Final = "pip install --no-deps aeon==1.6.0 (its files are read, the package itself is not used)"


def motion_files() -> list[Path]:
    """The two files inside the installed aeon.

    Raises:
        MissingExtraError: aeon is not installed.
    """
    try:
        listed = metadata.files("aeon") or []
    except metadata.PackageNotFoundError:
        listed = []
    found = {each.name: Path(str(each.locate())) for each in listed if each.name in FILES}
    if set(found) != set(FILES):
        raise MissingExtraError("builtin:basic-motions needs files of aeon, which is not installed", hint=HINT)
    return [found[name] for name in FILES]


def load_basic_motions(paths: list[Path] | None = None) -> Dataset:
    """All windows, (B, 40 steps, 6 channels), by default of aeon's files; both published parts as one set.

    Raises:
        DataError: a file is missing or is not what it should be.
        MissingExtraError: aeon is not installed.
    """
    series, labels = [], []
    for path in motion_files() if paths is None else paths:
        for number, line in _data_lines(path):
            values_TC, label = _parse(line, f"{path}: line {number}")
            series.append(values_TC)
            labels.append(label)
    starts = range(0, STEPS - WINDOW_STEPS + 1, HOP_STEPS)
    windows_B = np.stack([values_TC[start : start + WINDOW_STEPS] for values_TC in series for start in starts])
    labels_B = np.repeat(np.asarray(labels, np.int64), len(starts))
    return Dataset(
        inputs_B=windows_B,
        labels_B=labels_B,
        label_names=LABEL_NAMES,
        slices_B=no_slices(len(labels_B)),
        source="basic-motions (aeon)",
        groups_B=np.repeat(np.asarray([f"recording {index}" for index in range(len(series))]), len(starts)),
    )


def _data_lines(path: Path) -> list[tuple[int, str]]:
    """The lines after `@data` with their numbers, from 1."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}", hint=HINT) from error
    marks = [number for number, line in enumerate(lines, start=1) if line.strip().lower() == "@data"]
    if not marks:
        raise DataError(f"{path}: got no line @data, expected one before the series", hint=HINT)
    return [(number, line) for number, line in enumerate(lines, start=1) if number > marks[0] and line.strip()]


def _parse(line: str, where: str) -> tuple[NDArray[np.float32], int]:
    """One series: a channel after the other, `:` between them, the label at the end."""
    *channels, label = line.strip().split(":")
    if label not in LABEL_NAMES:
        raise DataError(f"{where}: got label {label!r}, expected one of {', '.join(LABEL_NAMES)}", hint=HINT)
    try:
        values_CT = np.asarray([channel.split(",") for channel in channels], np.float32)
    except ValueError as error:
        raise DataError(f"{where}: {error}, expected {CHANNELS} channels of {STEPS} numbers", hint=HINT) from error
    if values_CT.shape != (CHANNELS, STEPS):
        raise DataError(f"{where}: got shape {list(values_CT.shape)}, expected {[CHANNELS, STEPS]}", hint=HINT)
    return np.ascontiguousarray(values_CT.T), LABEL_NAMES.index(label)
