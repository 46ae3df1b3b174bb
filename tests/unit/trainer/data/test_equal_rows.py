"""Equal rows: found whatever their dtype and length, and never by a hash alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trainer.data import equal_rows
from trainer.data.equal_rows import LONG_ROW_BYTES, first_equal_rows

if TYPE_CHECKING:
    import pytest


def naive(inputs_B: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> list[int]:
    """What is meant, row by row."""
    rows = [row.tobytes() for row in inputs_B]
    return [rows.index(row) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(1, 4), min_size=0, max_size=3),
    count=st.integers(0, 40),
    dtype=st.sampled_from(["u1", "i2", "f4", "f8"]),
    seed=st.integers(0, 99),
)
def test_the_first_row_with_the_same_bytes_is_found(shape: list[int], count: int, dtype: str, seed: int) -> None:
    """For rows of any width, also those that are no whole words."""
    inputs_B = np.random.default_rng(seed).integers(0, 2, (count, *shape)).astype(dtype)
    assert first_equal_rows(inputs_B).tolist() == naive(inputs_B)


def test_long_rows_and_views_are_compared_as_well() -> None:
    """A row as long as a photo, and rows that are not in one piece in memory."""
    images_B = np.zeros((5, LONG_ROW_BYTES), np.uint8)
    images_B[1:4, -1] = (7, 0, 7)
    assert first_equal_rows(images_B).tolist() == naive(images_B) == [0, 1, 0, 1, 0]
    assert first_equal_rows(images_B[::2, ::-3]).tolist() == naive(images_B[::2, ::-3])


def test_bytes_decide_and_not_numbers() -> None:
    """Minus zero is not zero, and a NaN equals itself."""
    assert first_equal_rows(np.asarray([0.0, -0.0, np.nan, np.nan, 0.0])).tolist() == [0, 1, 2, 2, 0]


def test_rows_of_one_hash_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A multiplier that loses everything makes all hashes equal, and nothing else."""
    monkeypatch.setattr(equal_rows, "MIX", np.uint64(0))
    inputs_B = np.asarray([[1.0], [2.0], [1.0], [3.0]], np.float32)
    assert first_equal_rows(inputs_B).tolist() == [0, 1, 0, 3]
