"""Splits into train, validation and test, drawn and stratified or by time, and a calibration subset of train.

Rules: pure; the same rows, shares and seed give the same split. Drawn at random every class is in every part, and no
group in two: shares are then of groups. Samples from the fleet are split apart from the base data, at random, with
their own test share, so that the test set sees the new conditions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import DataError
from trainer.data.parts import Split
from trainer.data.split_by_time import split_by_time

if TYPE_CHECKING:
    from trainer.data.dataset import Dataset, Indices
    from trainer.settings import SplitSection

MAX_CALIBRATION_ROWS: Final = 1000
MIN_ROWS_PER_CLASS: Final = 3


def split_rows(data: Dataset, settings: SplitSection) -> Split:
    """The split of all rows of `data`.

    Raises:
        ConfigError: by time, and the data have no times.
        DataError: a class with fewer than three rows of base data, one that groups or times keep out of a part where it
            must be, or times and groups that leave no place to cut.
    """
    rng = np.random.default_rng(settings.seed)
    fleet_B = data.fleet_mask
    class_I = [_class_rows(data, label, fleet_B) for label in range(len(data.label_names))]
    if settings.by == "time":
        parts = [split_by_time(data, np.flatnonzero(~fleet_B), settings)]
    elif data.groups_B is None:
        parts = [_cut(rng, rows_I, validation=settings.validation, test=settings.test) for rows_I in class_I]
    else:
        parts = _cut_groups(rng, data, np.flatnonzero(~fleet_B), settings)
        _require_classes(data, parts, class_I)
    if fleet_B.any():
        parts.append(_cut_fleet(rng, np.flatnonzero(fleet_B), settings))
    return Split(
        train_I=np.sort(np.concatenate([part.train_I for part in parts])),
        validation_I=np.sort(np.concatenate([part.validation_I for part in parts])),
        test_I=np.sort(np.concatenate([part.test_I for part in parts])),
    )


def _class_rows(data: Dataset, label: int, fleet_B: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Indices:
    rows_I = np.flatnonzero((data.labels_B == label) & ~fleet_B)
    if len(rows_I) < MIN_ROWS_PER_CLASS:
        raise DataError(
            f"{data.source}: class {data.label_names[label]!r}: got {len(rows_I)} rows, "
            f"expected at least {MIN_ROWS_PER_CLASS}, one for each part of the split"
        )
    return rows_I


def _cut(rng: np.random.Generator, rows_I: Indices, *, validation: float, test: float) -> Split:
    """At least one row for each part."""
    order_I = rng.permutation(rows_I)
    count = len(order_I)
    test_count = min(max(1, round(test * count)), count - 2)
    validation_count = min(max(1, round(validation * count)), count - test_count - 1)
    return _parts(order_I, test_count, validation_count)


def _cut_groups(rng: np.random.Generator, data: Dataset, rows_I: Indices, settings: SplitSection) -> list[Split]:
    """Whole groups, dealt out among those whose commonest class is the same; those that are too few all train."""
    assert data.groups_B is not None
    names, group_B = np.unique(data.groups_B[rows_I], return_inverse=True)
    counts_GK = np.zeros((len(names), len(data.label_names)), np.int64)
    np.add.at(counts_GK, (group_B, data.labels_B[rows_I]), 1)
    commonest_G = counts_GK.argmax(axis=1)
    parts = []
    for label in range(len(data.label_names)):
        groups_I = np.flatnonzero(commonest_G == label)
        if len(groups_I) < MIN_ROWS_PER_CLASS:
            cut = Split(train_I=groups_I, validation_I=groups_I[:0], test_I=groups_I[:0])
        else:
            cut = _cut(rng, groups_I, validation=settings.validation, test=settings.test)
        parts.append(
            Split(
                train_I=rows_I[np.isin(group_B, cut.train_I)],
                validation_I=rows_I[np.isin(group_B, cut.validation_I)],
                test_I=rows_I[np.isin(group_B, cut.test_I)],
            )
        )
    return parts


def _require_classes(data: Dataset, parts: list[Split], class_I: list[Indices]) -> None:
    """Whole groups may leave a part without some class; then nothing can be said about it.

    Raises:
        DataError: a part lacks a class.
    """
    for name, rows in (
        ("training", [part.train_I for part in parts]),
        ("validation", [part.validation_I for part in parts]),
        ("test", [part.test_I for part in parts]),
    ):
        rows_I = np.concatenate(rows)
        for label, of_class_I in zip(data.label_names, class_I, strict=True):
            if not np.isin(of_class_I, rows_I).any():
                raise DataError(
                    f"{data.source}: class {label!r}: got no row in the {name} part, expected some",
                    hint="its rows lie in too few groups, which are never torn apart: give more groups, or none",
                )


def _cut_fleet(rng: np.random.Generator, rows_I: Indices, settings: SplitSection) -> Split:
    """Parts may be empty: one sample goes to training, two to training and test."""
    order_I = rng.permutation(rows_I)
    count = len(order_I)
    test_count = min(max(1, round(settings.fleet_test * count)), count - 1)
    return _parts(order_I, test_count, min(round(settings.validation * count), count - test_count - 1))


def _parts(order_I: Indices, test_count: int, validation_count: int) -> Split:
    return Split(
        test_I=order_I[:test_count],
        validation_I=order_I[test_count : test_count + validation_count],
        train_I=order_I[test_count + validation_count :],
    )


def calibration_rows(train_I: Indices, seed: int) -> Indices:
    """At most MAX_CALIBRATION_ROWS rows of the training split, drawn without replacement."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.permutation(train_I)[:MAX_CALIBRATION_ROWS])
