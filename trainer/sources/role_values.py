"""Columns that are no features: names of slices and groups, and times that order rows. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import DataError
from fleet_rows.arrow_values import coded_words, seconds

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray


def read_names(array_B: Any) -> NDArray[np.str_]:
    """Words of a column; empty where a row has none."""
    coded = coded_words(array_B)
    return np.asarray([word or "" for word in coded.words_D], np.str_)[coded.places_B]


def read_times(array_B: Any, column: str, path: Path, begin: int) -> NDArray[np.float64]:
    """Times of rows that begin with row `begin` of the file at `path`.

    Raises:
        DataError: a row has none.
    """
    try:
        return seconds(array_B)
    except ValueError as error:
        row = begin + _first_row(array_B, seconds)
        raise DataError(
            f"{path}: row {row:,}, column {column!r}: got {error}, expected a number or an ISO 8601 time"
        ) from error


def _first_row(array_B: Any, convert: Callable[[Any], object]) -> int:
    """The first row that `convert` refuses, found by halving."""
    low, high = 0, len(array_B)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            convert(array_B.slice(low, middle - low))
        except ValueError:
            high = middle
        else:
            low = middle
    return low
