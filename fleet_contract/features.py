"""Rows by name to numbers: the same numpy code where a table is read for training and where a caller sends rows.

Rules: pure; float32 out. A number stays what it is; a category becomes its place in the feature's vocabulary, which
travels with the release. What is missing (None, NaN) becomes NaN; a category that the vocabulary lacks is refused,
because any code for it would be a lie. Legend: B rows, F features.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from fleet_contract.release import Feature

    Column = Sequence[object] | NDArray[Any]

MAX_EXAMPLES: Final = 5


def encode_rows(columns: Mapping[str, Column], features: Sequence[Feature]) -> NDArray[np.float32]:
    """The rows (B, F), one column per feature in their order; columns that no feature names are ignored.

    A release whose input is not flat wants these reshaped to (B, *inputs[0].shape).

    Raises:
        ContractError: a column is missing or of another length than the first, a number is not one, or a category is
            not in the vocabulary; feature, row (the first is 0) and value are named.
    """
    missing = [feature.name for feature in features if feature.name not in columns]
    if missing:
        raise ContractError.mismatch("columns", got=list(columns)[:50], expected=f"also {missing[:MAX_EXAMPLES]}")
    count = len(columns[features[0].name]) if features else 0
    rows_BF = np.empty((count, len(features)), np.float32)
    for index, feature in enumerate(features):
        column_B = columns[feature.name]
        if len(column_B) != count:
            raise ContractError.mismatch(f"column {feature.name!r}", got=f"{len(column_B)} rows", expected=count)
        rows_BF[:, index] = _categories(column_B, feature) if feature.categories else _numbers(column_B, feature.name)
    return rows_BF


def _numbers(column_B: Column, name: str) -> NDArray[np.float32]:
    """Numbers beyond float32 become infinite, which every check of data refuses."""
    try:
        real_B = np.asarray(column_B, np.float64)
    except (TypeError, ValueError):
        real_B = np.empty((0, 0))
    if real_B.ndim != 1:
        row = next(row for row, value in enumerate(column_B) if not _is_number(value))
        raise ContractError.mismatch(f"column {name!r}: row {row}", got=column_B[row], expected="a number")
    with np.errstate(over="ignore"):
        return real_B.astype(np.float32)


def _is_number(value: object) -> bool:
    try:
        return np.asarray(value, np.float64).ndim == 0
    except (TypeError, ValueError):
        return False


def _categories(column_B: Column, feature: Feature) -> NDArray[np.float32]:
    code = {category: float(index) for index, category in enumerate(feature.categories)}
    words = [category_word(value) for value in column_B]
    unknown_I = [row for row, word in enumerate(words) if word is not None and word not in code]
    if unknown_I:
        known = ", ".join(map(repr, feature.categories[:20]))
        raise ContractError(
            f"column {feature.name!r}: {len(unknown_I)} rows hold categories that are not known, for instance "
            f"{words[unknown_I[0]]!r} in row {unknown_I[0]}, expected one of {known}"
        )
    return np.asarray([np.nan if word is None else code[word] for word in words], np.float32)


def category_word(value: object) -> str | None:
    """A category as it stands in vocabularies: whole numbers without a point, truth values in lower case."""
    if value is None or (isinstance(value, float | np.floating) and np.isnan(value)):
        return None
    if isinstance(value, bool | np.bool_):
        return str(value).lower()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)
