"""Handwritten digits from scikit-learn's own file: 1,797 images of 8x8x1, values 0 to 16, 10 classes."""

from __future__ import annotations

import gzip
import importlib.util
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import DataError, MissingExtraError
from trainer.data.dataset import Dataset, no_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

COLUMN_COUNT: Final = 65
"""64 pixels and the label."""


def digits_path() -> Path:
    """The file inside the installed scikit-learn, found without importing it (that takes seconds).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError.for_extra("trainer", "scikit-learn")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "digits.csv.gz"


def load_digits(path: Path | None = None) -> Dataset:
    """The digits in `path`, by default scikit-learn's file.

    Raises:
        DataError: the file is missing or is not what it should be.
        MissingExtraError: scikit-learn is not installed.
    """
    path = digits_path() if path is None else path
    table = _read_table(path)
    if table.ndim != 2 or table.shape[1] != COLUMN_COUNT:
        raise DataError(f"{path}: got shape {list(table.shape)}, expected rows of {COLUMN_COUNT} numbers")
    labels_B = table[:, -1].astype(np.int64)
    return Dataset(
        inputs_B=table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1),
        labels_B=labels_B,
        label_names=tuple(str(digit) for digit in range(10)),
        slices_B=no_slices(len(labels_B)),
        source="digits (scikit-learn)",
    )


def _read_table(path: Path) -> NDArray[np.float64]:
    try:
        with gzip.open(path, "rt", encoding="ascii") as lines:
            return np.loadtxt(lines, delimiter=",")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise DataError(
            f"{path}: got {type(error).__name__}: {error}, expected gzipped rows of {COLUMN_COUNT} numbers",
            hint="reinstall scikit-learn",
        ) from error
