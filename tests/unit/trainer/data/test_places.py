"""Where rows stand in the files that they were read from."""

from __future__ import annotations

import numpy as np

from trainer.data.places import Places


def test_rows_are_named_within_their_part() -> None:
    """Each part counts from 0; an empty part has none, a part of one row needs no number."""
    places = Places.of(["a.csv", "empty.csv", "b.csv", "one.png"], [3, 0, 2, 1])
    assert [places.name(row) for row in range(6)] == [
        "a.csv row 0", "a.csv row 1", "a.csv row 2", "b.csv row 0", "b.csv row 1", "one.png"
    ]  # fmt: skip


def test_a_selection_of_a_selection_keeps_the_places() -> None:
    """A row is named as in its file, however often rows were chosen and in whichever order."""
    places = Places.of(["a.csv", "b.csv"], [3, 3]).at(np.array([5, 4, 0, 1])).at(np.array([2, 0]))
    assert [places.name(row) for row in range(2)] == ["a.csv row 0", "b.csv row 2"]


def test_samples_that_follow_are_a_part_of_their_own() -> None:
    """After all rows, and after some of them."""
    whole = Places.of(["a.csv"], [3])
    for places, row in ((whole, 4), (whole.at(np.array([2])), 2)):
        assert places.followed_by("fleet samples", 2).name(row) == "fleet samples row 1"
    assert whole.at(np.array([2])).followed_by("fleet samples", 2).name(0) == "a.csv row 2"
