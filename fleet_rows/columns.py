"""Named columns of Arrow to a row's numbers: the same bits for training and for prediction. Legend: B rows, F features.

Rules: pure. A category becomes its place in the feature's vocabulary by `fleet_contract.features`, once for each
distinct word; what is missing becomes NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ContractError
from fleet_contract.features import encode_rows
from fleet_contract.release import Feature
from fleet_rows.arrow_values import coded_words, numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray


def encode_batch(batch: Any, features: Sequence[Feature]) -> NDArray[np.float32]:
    """The rows (B, F) of a record batch or a table that has a column for each feature.

    Raises:
        ContractError: a category that the vocabulary lacks.
        ValueError: text that is not a number.
    """
    columns = {feature.name: column_values(batch[feature.name], feature) for feature in features}
    return encode_rows(columns, [Feature(name=feature.name) for feature in features])


def column_values(array_B: Any, feature: Feature) -> NDArray[np.float64]:
    """The column's numbers, or the codes of its categories; NaN where it is missing.

    Raises:
        ContractError: a category that the vocabulary lacks; the row that it names is none of the column's.
        ValueError: text that is not a number.
    """
    if not feature.categories:
        return numbers(array_B)
    coded = coded_words(array_B)
    codes_D = encode_rows({feature.name: coded.words_D}, [feature])[:, 0].astype(np.float64)
    return np.asarray(codes_D[coded.places_B])


def faulty_rows(array_B: Any, convert: Callable[[Any], object], begin: int = 0) -> Iterator[int]:
    """The rows of a column that `convert` refuses, found by halving and counted from `begin`."""
    try:
        convert(array_B)
        return
    except (ContractError, ValueError):
        pass
    middle = len(array_B) // 2
    if middle == 0:
        yield begin
        return
    yield from faulty_rows(array_B.slice(0, middle), convert, begin)
    yield from faulty_rows(array_B.slice(middle), convert, begin + middle)
