"""A split by time: the oldest rows train, newer ones validate, the newest test: in use a model meets what is new.

Rules: pure, no randomness. A cut lies between two times, so that rows of one time stay together, and where no group
lies on both sides of it; of these the one that is nearest to the share wins. Classes cannot be stratified.
Legend: B rows, T different times, ascending; cut c is before time c, 0 < c < T.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import ConfigError, DataError
from trainer.data.parts import Split

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset, Indices
    from trainer.settings import SplitSection

MAX_NAMED = 5


def split_by_time(data: Dataset, rows_I: Indices, settings: SplitSection) -> Split:
    """The split of `rows_I`.

    Raises:
        ConfigError: the data have no times.
        DataError: a row's time is no number, there are too few places to cut, or training lacks a class.
    """
    times_B = _times(data, rows_I)
    times_T, place_B = np.unique(times_B, return_inverse=True)
    cuts = _allowed_cuts(data, rows_I, place_B, len(times_T))
    before_T = np.concatenate([[0], np.cumsum(np.bincount(place_B))])  # rows before each cut
    first = _nearest(cuts[:-1], before_T, (1.0 - settings.validation - settings.test) * len(rows_I))
    second = _nearest(cuts[cuts > first], before_T, (1.0 - settings.test) * len(rows_I))
    parts = Split(
        train_I=rows_I[place_B < first],
        validation_I=rows_I[(place_B >= first) & (place_B < second)],
        test_I=rows_I[place_B >= second],
    )
    _require_known_classes(data, rows_I, parts)
    return parts


def _times(data: Dataset, rows_I: Indices) -> NDArray[np.float64]:
    if data.times_B is None:
        raise ConfigError(
            f'[data.split] by = "time": got no times from {data.source}, expected some',
            hint='name their column or array: [data] time = "NAME"',
        )
    times_B = data.times_B[rows_I]
    unknown_I = rows_I[~np.isfinite(times_B)]
    if len(unknown_I):
        raise DataError(
            f"{data.source}: time: got {len(unknown_I)} rows without one (rows {unknown_I[:MAX_NAMED].tolist()}), "
            "expected a finite number in each"
        )
    return times_B


def _allowed_cuts(data: Dataset, rows_I: Indices, place_B: Indices, times: int) -> Indices:
    """Cuts that tear no group apart, at least two."""
    if data.groups_B is None:
        torn_T = np.zeros(times, np.int64)
    else:
        names, group_B = np.unique(data.groups_B[rows_I], return_inverse=True)
        begin_G, end_G = np.full(len(names), times), np.zeros(len(names), np.int64)
        np.minimum.at(begin_G, group_B, place_B)
        np.maximum.at(end_G, group_B, place_B)
        steps_T = np.bincount(begin_G + 1, minlength=times + 1) - np.bincount(end_G + 1, minlength=times + 1)
        torn_T = np.cumsum(steps_T)[:times]
    cuts = np.flatnonzero(torn_T == 0)
    cuts = cuts[cuts > 0]
    if len(cuts) < 2:
        raise _too_few_cuts(data, rows_I, times, len(cuts))
    return cuts


def _too_few_cuts(data: Dataset, rows_I: Indices, times: int, cuts: int) -> DataError:
    if data.groups_B is None or times < 3:
        return DataError(f"{data.source}: time: got {times} different times, expected at least 3, one for each part")
    names, counts = np.unique(data.groups_B[rows_I], return_counts=True)
    largest = ", ".join(repr(str(name)) for name in names[np.argsort(-counts, kind="stable")][:MAX_NAMED])
    return DataError(
        f"{data.source}: got {cuts} points in time at which no group is under way, expected at least 2 to cut at; "
        f"groups of most rows: {largest}",
        hint='groups are never torn apart: leave out [data] group, or [data.split] by = "random"',
    )


def _nearest(cuts: Indices, before_T: Indices, wanted: float) -> int:
    return int(cuts[np.abs(before_T[cuts] - wanted).argmin()])


def _require_known_classes(data: Dataset, rows_I: Indices, parts: Split) -> None:
    """A class that begins later than training cannot be learned."""
    for label in np.setdiff1d(data.labels_B[rows_I], data.labels_B[parts.train_I]).tolist():
        count = int((data.labels_B[rows_I] == label).sum())
        raise DataError(
            f"{data.source}: class {data.label_names[label]!r}: got none of its {count} rows in the training part, the "
            "oldest rows, expected some",
            hint='leave later classes out, train on more with [data.split], or split by = "random"',
        )
