"""Splits by time: the newest rows test, no time and no group in two parts, and what cannot be cut is named."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fleet_contract.errors import ConfigError, DataError
from tests.fakes.trainer_projects import make_dataset, make_fleet_samples
from trainer.data.parts import absent_classes
from trainer.data.split import split_rows
from trainer.settings import SplitSection
from trainer.sources.fleet import merge_fleet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset

BY_TIME = SplitSection(by="time")


def timed(times_B: NDArray[np.generic], groups_B: NDArray[np.str_] | None = None) -> Dataset:
    """Three classes in turn at these times."""
    return replace(make_dataset(len(times_B)), times_B=times_B.astype(np.float64), groups_B=groups_B)


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(30, 150), times=st.integers(3, 60), fleet=st.integers(0, 9), seed=st.integers(0, 999))
def test_parts_follow_each_other_and_no_time_is_in_two(rows: int, times: int, fleet: int, seed: int) -> None:
    """Each part is wholly after the one before it, none is empty, no row is lost; the fleet's are split apart."""
    times_B = np.random.default_rng(seed).integers(0, times, rows)
    assume(len(np.unique(times_B)) >= 3)
    base = timed(times_B)
    assume(set(base.labels_B[times_B == times_B.min()].tolist()) == {0, 1, 2})
    data = merge_fleet(base, make_fleet_samples(fleet)) if fleet else base
    parts = split_rows(data, BY_TIME)
    spans = [times_B[rows_I[rows_I < rows]] for rows_I in (parts.train_I, parts.validation_I, parts.test_I)]
    assert sum(map(len, spans)) == rows
    assert spans[0].max() < spans[1].min()
    assert spans[1].max() < spans[2].min()
    assert sorted([*parts.train_I, *parts.validation_I, *parts.test_I]) == list(range(rows + fleet))


def test_shares_are_met_where_times_allow_it() -> None:
    """A hundred rows a minute apart, in any order: the newest 15 test."""
    times_B = np.random.default_rng(0).permutation(100)
    parts = split_rows(timed(times_B), BY_TIME)
    assert set(times_B[parts.test_I].tolist()) == set(range(85, 100))
    assert set(times_B[parts.validation_I].tolist()) == set(range(70, 85))


@pytest.mark.parametrize("seed", range(5))
def test_recordings_one_after_the_other_stay_whole(seed: int) -> None:
    """Recordings in pairs that run at the same time, one pair after the other: a pair is on one side."""
    rng = np.random.default_rng(seed)
    group_B = np.repeat(np.arange(20), 6)
    times_B = group_B // 2 * 100 + rng.permutation(len(group_B)) % 100
    parts = split_rows(timed(times_B, group_B.astype(str)), BY_TIME)
    pairs = [set((group_B[rows_I] // 2).tolist()) for rows_I in (parts.train_I, parts.validation_I, parts.test_I)]
    assert pairs == [set(range(7)), {7}, {8, 9}]


def test_groups_that_last_all_the_time_are_refused_by_name() -> None:
    """Machines that run the whole year cannot be split by time and by machine."""
    data = timed(np.arange(90), np.where(np.arange(90) % 3, "press", "lathe"))
    with pytest.raises(DataError, match=r"no group is under way.*'press', 'lathe'"):
        split_rows(data, BY_TIME)


def test_a_class_that_begins_later_is_refused_by_name() -> None:
    """What is new since yesterday cannot be learned from the years before."""
    data = timed(np.arange(90))
    late = replace(data, labels_B=np.where(np.arange(90) < 80, data.labels_B % 2, 2))
    with pytest.raises(DataError, match="class 'high': got none of its 10 rows in the training part"):
        split_rows(late, BY_TIME)


def test_a_class_that_ended_earlier_is_told() -> None:
    """It is trained on, and nothing can be said about it."""
    data = timed(np.arange(90))
    early = replace(data, labels_B=np.where(np.arange(90) > 20, data.labels_B % 2, data.labels_B))
    words = absent_classes(early, split_rows(early, BY_TIME))
    assert words == ["validation: no row of class 'high'", "test: no row of class 'high'"]


@pytest.mark.parametrize(
    ("times_B", "words"),
    [
        (np.zeros(90), "got 1 different times, expected at least 3"),
        (np.repeat([1.0, 2.0], 45), "got 2 different times"),
        (np.where(np.arange(90) == 7, np.nan, np.arange(90)), r"got 1 rows without one \(rows \[7\]\)"),
    ],
)
def test_times_that_cannot_order_rows_are_refused(times_B: NDArray[np.float64], words: str) -> None:
    """Three parts need three times, and each row one of them."""
    with pytest.raises(DataError, match=words):
        split_rows(timed(times_B), BY_TIME)


def test_data_without_times_are_a_setting_to_mend() -> None:
    """The hint names the key."""
    with pytest.raises(ConfigError, match=r"by = \"time\": got no times") as refused:
        split_rows(make_dataset(90), BY_TIME)
    assert "[data] time" in (refused.value.hint or "")
