"""Rows for calibration and proof."""

from __future__ import annotations

import numpy as np
import pytest

from converter.calibration import model_inputs, spread_rows
from fleet_contract.errors import DataError
from fleet_contract.preprocessing import Scale, StandardizeEach


def test_rows_are_spread_and_capped() -> None:
    """Both ends are in, no row twice, never more than asked."""
    rows = spread_rows(1000, 7)
    assert (rows[0], rows[-1], len(rows), len(set(rows.tolist()))) == (0, 999, 7, 7)
    assert spread_rows(3, 7).tolist() == [0, 1, 2]


def test_inputs_are_preprocessed_as_on_the_device() -> None:
    """The contract's transforms are what is applied."""
    inputs_B = model_inputs((Scale(factor=0.5),), np.array([[2], [4]], np.uint8), what="rows")
    assert inputs_B.tolist() == [[1.0], [2.0]]
    assert inputs_B.dtype == np.float32


def test_rows_that_preprocessing_breaks_are_counted() -> None:
    """A constant row standardized by its own deviation of 0 stops the conversion."""
    rows_B = np.array([[1.0, 1.0], [0.0, 2.0]], np.float32)
    with pytest.raises(DataError, match="calibration inputs: 1 of 2 rows"):
        model_inputs((StandardizeEach(epsilon=0.0),), rows_B, what="calibration inputs")
