"""Breast cancer (Wisconsin, diagnostic) from scikit-learn's own file: 569 rows of 30 measured columns, 2 classes.

Ten measures of the cell nuclei in an image, each as mean, standard error and worst (mean of the three largest).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import DataError, MissingExtraError
from fleet_contract.release import Feature
from trainer.data.dataset import Dataset, no_slices

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEASURES: Final = (
    "radius",
    "texture",
    "perimeter",
    "area",
    "smoothness",
    "compactness",
    "concavity",
    "concave points",
    "symmetry",
    "fractal dimension",
)
COLUMNS: Final = (
    *(f"mean {measure}" for measure in MEASURES),
    *(f"{measure} error" for measure in MEASURES),
    *(f"worst {measure}" for measure in MEASURES),
)
LABEL_NAMES: Final = ("malignant", "benign")


def breast_cancer_path() -> Path:
    """The file inside the installed scikit-learn, found without importing it (that takes seconds).

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        raise MissingExtraError.for_extra("trainer", "scikit-learn")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / "breast_cancer.csv"


def load_breast_cancer(path: Path | None = None) -> Dataset:
    """The table in `path`, by default scikit-learn's file, with its columns named.

    Raises:
        DataError: the file is missing or is not what it should be.
        MissingExtraError: scikit-learn is not installed.
    """
    path = breast_cancer_path() if path is None else path
    table = _read_table(path)
    labels_B = table[:, -1].astype(np.int64)
    if not np.array_equal(labels_B, table[:, -1]) or not set(labels_B.tolist()) <= {0, 1}:
        raise DataError(f"{path}: got labels {sorted(set(table[:, -1].tolist()))[:5]}, expected 0 and 1")
    return Dataset(
        inputs_B=table[:, :-1].astype(np.float32),
        labels_B=labels_B,
        label_names=LABEL_NAMES,
        slices_B=no_slices(len(labels_B)),
        source="breast-cancer (scikit-learn)",
        features=tuple(Feature(name=column) for column in COLUMNS),
    )


def _read_table(path: Path) -> NDArray[np.float64]:
    """The rows below the first line, which counts rows and columns and names the classes."""
    expected = f"a line of counts and {len(COLUMNS) + 1} numbers in each line after it"
    try:
        _, *lines = path.read_text(encoding="ascii").splitlines() or [""]
        table = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.empty((0, 0))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: got {type(error).__name__}: {error}, expected {expected}") from error
    if table.shape[1] != len(COLUMNS) + 1:
        raise DataError(f"{path}: got shape {list(table.shape)}, expected {expected}", hint="reinstall scikit-learn")
    return table
