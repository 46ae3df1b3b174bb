"""Samples from the fleet: from raw bytes, and merged into base data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleet_contract.errors import DataError
from tests.fakes.trainer_projects import make_dataset, make_fleet_samples
from trainer.data.dataset import FleetSamples
from trainer.data.places import Places
from trainer.sources.fleet import RawSample, merge_fleet, stack_raw

GOOD = RawSample(dtype="int16", shape=(2, 1), data=np.asarray([-3, 500], "<i2").tobytes(), label="a")


def test_raw_tensors_become_arrays() -> None:
    """Bytes, dtype and shape give back the values."""
    samples = stack_raw([GOOD, GOOD], source="s")
    assert samples is not None
    assert samples.inputs_B.tolist() == [[[-3], [500]], [[-3], [500]]]
    assert samples.labels == ["a", "a"]


def test_no_samples_are_none() -> None:
    """A request without samples retrains on the base data."""
    assert stack_raw([], source="s") is None


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (RawSample("object", (2, 1), GOOD.data, "a"), "dtype 'object'"),
        (RawSample("int16", (3, 1), GOOD.data, "a"), "expected int16 [2, 1] as the first"),
        (RawSample("int16", (2, 1), GOOD.data[:-1], "a"), "got 3 bytes, expected 4"),
    ],
)
def test_raw_tensors_that_do_not_fit_are_refused(bad: RawSample, words: str) -> None:
    """The sample is named by its place."""
    with pytest.raises(DataError) as caught:
        stack_raw([GOOD, bad], source="s")
    assert words in caught.value.message
    assert "sample 1" in caught.value.message


def test_merged_rows_carry_the_slice_fleet() -> None:
    """Base rows come first and unchanged."""
    base = make_dataset(30)
    merged = merge_fleet(base, make_fleet_samples(6))
    assert len(merged) == 36
    assert merged.fleet_mask.tolist() == [False] * 30 + [True] * 6
    assert np.array_equal(merged.inputs_B[:30], base.inputs_B)
    assert merged.labels_B[30:].tolist() == [0, 1, 2, 0, 1, 2]


def test_merged_rows_are_named_as_samples_of_the_fleet() -> None:
    """After rows of a file, which keep their names."""
    base = replace(make_dataset(30), places=Places.of(["d.npz"], [30]))
    places = merge_fleet(base, make_fleet_samples(6)).places
    assert places is not None
    assert [places.name(row) for row in (29, 31)] == ["d.npz row 29", "fleet samples row 1"]


def test_samples_of_another_form_or_label_are_refused() -> None:
    """What the base data do not have cannot be merged."""
    good = make_fleet_samples(3)
    for bad, words in (
        (FleetSamples(good.inputs_B.astype(np.float32), good.labels, "s"), "got float32"),
        (FleetSamples(good.inputs_B[:, :2], good.labels, "s"), "[2, 4, 1]"),
        (FleetSamples(good.inputs_B, ["low", "middle", "new"], "s"), "got labels ['new']"),
        (FleetSamples(good.inputs_B, ["low"], "s"), "got 1 labels, expected 3"),
    ):
        with pytest.raises(DataError) as caught:
            merge_fleet(make_dataset(30), bad)
        assert words in caught.value.message
