"""Which missing value a row cannot do without: asked of the preprocessing itself. Legend: N values of a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.preprocessing import apply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fleet_contract.preprocessing import Transform

MAX_TRIED: Final = 64
"""Missing values of a row that are tried one by one."""


def needed_place(raw_row: NDArray[np.generic], steps: Sequence[Transform]) -> int | None:
    """The place of the first missing value that no step fills; None when it is not for missing values.

    Args:
        raw_row: a row of the raw input that preprocessing leaves without a finite form.
        steps: the preprocessing.
    """
    row_N = np.asarray(raw_row, np.float32).reshape(-1)
    places = np.flatnonzero(np.isnan(row_N))[:MAX_TRIED]
    filled_N = np.nan_to_num(row_N, nan=0.0)
    tries = np.tile(filled_N, (len(places) + 1, 1))
    tries[np.arange(len(places)), places] = np.nan
    made = apply(steps, tries.reshape(-1, *raw_row.shape)).reshape(len(tries), -1)
    finite = np.asarray(np.isfinite(made).all(axis=1), np.bool_)
    if not len(places) or not finite[-1]:
        return None
    return int(places[finite.argmin()])
