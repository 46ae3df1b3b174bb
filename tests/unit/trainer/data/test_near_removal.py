"""What becomes of near duplicates: told, taken out of training until none is left, or refused by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fleet_contract.errors import DataError
from tests.fakes.trainer_tables import make_table
from trainer.data.near_duplicates import find_near_duplicates
from trainer.data.near_removal import act_on_near_duplicates
from trainer.data.parts import Split

PLANTED = 20
ROWS = 800
PARTS = Split(train_I=np.arange(600), validation_I=np.arange(600, 700), test_I=np.arange(700, ROWS))
RNG = np.random.default_rng(3)
CLEAN = replace(make_table(ROWS), inputs_B=RNG.normal(size=(ROWS, 8)).astype(np.float32), features=())
BURST = CLEAN.inputs_B[600 : 600 + PLANTED].repeat(3, axis=0)
INPUTS = CLEAN.inputs_B.copy()
INPUTS[: 3 * PLANTED] = BURST + 0.001 * RNG.normal(size=BURST.shape)
PLANTED_DATA = replace(CLEAN, inputs_B=INPUTS)
"""Each of the first held-out rows has three near duplicates in training."""


def test_all_near_duplicates_leave_training_and_no_held_out_row_does() -> None:
    """Also the second and third of a burst; afterwards none is found."""
    clean, removed = act_on_near_duplicates(PLANTED_DATA, PARTS, "remove", seed=0)
    assert removed == 3 * PLANTED
    assert clean.train_I.tolist() == list(range(3 * PLANTED, 600))
    assert np.array_equal(clean.held_out(), PARTS.held_out())
    assert find_near_duplicates(PLANTED_DATA, clean, rng=np.random.default_rng(0)).count == 0


def test_telling_changes_nothing() -> None:
    """It is the report's business then."""
    assert act_on_near_duplicates(PLANTED_DATA, PARTS, "tell", seed=0) == (PARTS, 0)


def test_refusal_names_rows_and_unrelated_rows_pass() -> None:
    """What chance explains refuses nothing."""
    with pytest.raises(DataError, match=r"20 of 200 held-out rows.*training rows 6\d\d and \d+, ") as refused:
        act_on_near_duplicates(PLANTED_DATA, PARTS, "refuse", seed=0)
    assert "[data] group" in (refused.value.hint or "")
    assert act_on_near_duplicates(CLEAN, PARTS, "refuse", seed=0) == (PARTS, 0)


def test_few_rows_are_left_as_they_are() -> None:
    """With too few to judge nothing is taken out."""
    few = Split(train_I=np.arange(10), validation_I=np.arange(10, 12), test_I=np.arange(12, 14))
    assert act_on_near_duplicates(PLANTED_DATA, few, "remove", seed=0) == (few, 0)


def test_a_class_of_near_duplicates_only_stops_the_run() -> None:
    """Nothing could be learned about it."""
    labels_B = np.where(np.arange(ROWS) < 3 * PLANTED, 1, 0)
    with pytest.raises(DataError, match="training: got no rows without copies"):
        act_on_near_duplicates(replace(PLANTED_DATA, labels_B=labels_B), PARTS, "remove", seed=0)
