"""Splits: disjoint, stratified, repeatable, free of leakage, with the fleet in every part that can hold it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_contract.errors import DataError
from tests.fakes.trainer_projects import make_dataset, make_fleet_samples
from trainer.data.equal_rows import first_equal_rows
from trainer.data.leakage import remove_leakage
from trainer.data.replay import mix_epoch
from trainer.data.split import MAX_CALIBRATION_ROWS, calibration_rows, split_rows
from trainer.settings import SplitSection
from trainer.sources.fleet import merge_fleet

SETTINGS = SplitSection()


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(9, 200), fleet=st.integers(0, 40), seed=st.integers(0, 2**32 - 1))
def test_every_row_is_in_exactly_one_part_and_every_class_in_all(rows: int, fleet: int, seed: int) -> None:
    """Whatever the size and seed, the parts are a partition, and each class is in each."""
    data = make_dataset(rows)
    merged = merge_fleet(data, make_fleet_samples(fleet)) if fleet else data
    parts = split_rows(merged, SplitSection(seed=seed))
    together = np.concatenate([parts.train_I, parts.validation_I, parts.test_I])
    assert sorted(together.tolist()) == list(range(rows + fleet))
    for rows_I in (parts.train_I, parts.validation_I, parts.test_I):
        assert set(merged.labels_B[rows_I].tolist()) == {0, 1, 2}
    if fleet > 1:
        assert merged.fleet_mask[parts.train_I].any()
        assert merged.fleet_mask[parts.test_I].any()


def test_the_seed_decides() -> None:
    """The same seed gives the same split, another seed another."""
    data = make_dataset()
    first = split_rows(data, SETTINGS)
    assert np.array_equal(first.test_I, split_rows(data, SETTINGS).test_I)
    assert not np.array_equal(first.test_I, split_rows(data, SplitSection(seed=1)).test_I)


def test_a_class_too_small_to_split_is_refused() -> None:
    """Two rows cannot be in three parts."""
    data = make_dataset(9)
    with pytest.raises(DataError, match="class 'high': got 2 rows"):
        split_rows(data.rows(np.arange(8)), SETTINGS)


def test_copies_of_test_rows_leave_training() -> None:
    """After removal no test row is in training or validation, and the test part is as before."""
    data = make_dataset()
    doubled = data.rows(np.concatenate([np.arange(90), np.arange(30)]))
    before = split_rows(doubled, SETTINGS)
    after, removed = remove_leakage(doubled, before, refuse=False)
    first = first_equal_rows(doubled.inputs_B)
    assert removed > 0
    assert not set(first[after.train_I]) & set(first[np.concatenate([after.validation_I, after.test_I])])
    assert not set(first[after.validation_I]) & set(first[after.test_I])
    assert np.array_equal(after.test_I, before.test_I)


def test_leakage_is_refused_where_the_project_says_so() -> None:
    """`duplicates = "refuse"` names some of the rows."""
    data = make_dataset()
    doubled = data.rows(np.concatenate([np.arange(90), np.arange(30)]))
    with pytest.raises(DataError, match="in more than one split"):
        remove_leakage(doubled, split_rows(doubled, SETTINGS), refuse=True)


def test_data_of_copies_only_are_refused() -> None:
    """Where removal would leave nothing to train on, the run stops."""
    data = make_dataset()
    same = replace(data, inputs_B=np.zeros_like(data.inputs_B))
    with pytest.raises(DataError, match="got no rows without copies"):
        remove_leakage(same, split_rows(same, SETTINGS), refuse=False)


def test_calibration_is_a_small_part_of_training() -> None:
    """At most MAX_CALIBRATION_ROWS rows, none twice."""
    train_I = np.arange(1000, 1000 + 2 * MAX_CALIBRATION_ROWS)
    rows_I = calibration_rows(train_I, seed=3)
    assert len(set(rows_I.tolist())) == MAX_CALIBRATION_ROWS
    assert np.isin(rows_I, train_I).all()
    assert len(calibration_rows(train_I[:10], seed=3)) == 10


def test_an_epoch_mixes_half_fleet_half_replay() -> None:
    """Fleet rows are repeated to their share, at most as often as allowed; base rows are all kept."""
    mask_B = np.arange(120) >= 100
    mixed = mix_epoch(np.arange(120), mask_B, fleet_share=0.5, max_repeats=10)
    assert mask_B[mixed].mean() == pytest.approx(0.5)
    assert set(mixed.tolist()) == set(range(120))
    capped = mix_epoch(np.arange(101), mask_B, fleet_share=0.5, max_repeats=10)
    assert int(mask_B[capped].sum()) == 10
    assert np.array_equal(mix_epoch(np.arange(100), mask_B, fleet_share=0.5, max_repeats=10), np.arange(100))


@settings(max_examples=40, deadline=None)
@given(groups=st.integers(9, 40), size=st.integers(1, 5), fleet=st.integers(0, 9), seed=st.integers(0, 2**32 - 1))
def test_no_group_is_torn_apart(groups: int, size: int, fleet: int, seed: int) -> None:
    """Rows that were recorded together are in one part, every class is in all parts, and no row is lost."""
    base = make_dataset(groups)
    grouped = replace(
        base.rows(np.repeat(np.arange(groups), size)), groups_B=np.repeat(np.arange(groups), size).astype(str)
    )
    merged = merge_fleet(grouped, make_fleet_samples(fleet)) if fleet else grouped
    parts = split_rows(merged, SplitSection(seed=seed))
    rows = [rows_I[rows_I < groups * size] for rows_I in (parts.train_I, parts.validation_I, parts.test_I)]
    assert grouped.groups_B is not None
    names = [set(grouped.groups_B[rows_I].tolist()) for rows_I in rows]
    assert sum(len(part) for part in names) == len(set().union(*names)) == groups
    assert sum(len(rows_I) for rows_I in (parts.train_I, parts.validation_I, parts.test_I)) == groups * size + fleet
    for rows_I in rows:
        assert set(grouped.labels_B[rows_I].tolist()) == {0, 1, 2}


def test_groups_that_keep_a_class_out_of_a_part_are_refused() -> None:
    """One patient has all rows of a class: nothing could be said about it in the test part."""
    data = make_dataset(90)
    groups_B = np.where(data.labels_B == 2, "one", (np.arange(90) // 9).astype(str))
    with pytest.raises(DataError, match="class 'high': got no row in the validation part"):
        split_rows(replace(data, groups_B=groups_B), SETTINGS)
