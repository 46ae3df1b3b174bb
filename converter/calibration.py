"""What a model is calibrated and proven on: preprocessed rows, no more of them than help. Pure. Legend: B rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract import preprocessing
from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fleet_contract.preprocessing import Transform

MAX_CALIBRATION_ROWS: Final = 200
"""20 to 100 rows are enough for min-max ranges (docs/measurements.md); more only cost time."""
MAX_HOLDOUT_ROWS: Final = 5000


MAX_SELECTION_ROWS: Final = 800
MIN_CALIBRATION_ROWS: Final = 8
"""Fewer leave ranges to chance: one row costs 5 to 10 dB (docs/measurements.md)."""


def calibration_split(count: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Which of `count` calibration rows give ranges, and which of the others the search chooses on; both evenly spread.

    Raises:
        DataError: there are too few.
    """
    if count < 2 * MIN_CALIBRATION_ROWS:
        raise DataError(
            f"calibration: got {count} rows, expected at least {2 * MIN_CALIBRATION_ROWS}, half of them to choose on",
            hint="give a sample of the training data of some hundred rows",
        )
    ranged = spread_rows(count, min(MAX_CALIBRATION_ROWS, count // 2))
    others = np.setdiff1d(np.arange(count), ranged)
    return ranged, others[spread_rows(len(others), MAX_SELECTION_ROWS)]


def spread_rows(count: int, limit: int) -> NDArray[np.intp]:
    """At most `limit` of `count` row numbers, evenly spread, ascending."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).round().astype(np.intp))


def model_inputs(steps: Sequence[Transform], raw_B: NDArray[np.generic], *, what: str) -> NDArray[np.float32]:
    """The rows as the model eats them.

    Raises:
        DataError: preprocessing makes a value that is not finite.
    """
    inputs_B = preprocessing.apply(steps, raw_B)
    bad_rows = int((~np.isfinite(inputs_B)).reshape(len(inputs_B), -1).any(axis=1).sum())
    if bad_rows:
        raise DataError(
            f"{what}: {bad_rows} of {len(inputs_B)} rows are not finite after preprocessing",
            hint="a constant row under standardize-each with epsilon 0, or NaN in the data",
        )
    return inputs_B
