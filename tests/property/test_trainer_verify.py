"""Verification of any table: what was inferred accepts it, and no single broken value gets through."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.fakes.trainer_tables import make_table
from trainer.data.schema import infer_schema
from trainer.data.statistics import describe
from trainer.data.verify import find_anomalies

ROWS = 24
FINITE = st.floats(-(2.0**100), 2.0**100, width=32)
TABLES = st.integers(1, 4).flatmap(lambda width: arrays.arrays(np.float32, (ROWS, width), elements=FINITE))
ANY = arrays.arrays(np.float32, (ROWS, 3), elements=st.floats(width=32))


@given(TABLES)
def test_a_table_is_sound_by_its_own_schema(inputs_B: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """Margins never exclude a value that was seen."""
    data = replace(make_table(ROWS), inputs_B=inputs_B, features=())
    assert not any(anomaly.fatal for anomaly in find_anomalies(data, infer_schema(data)))


@given(TABLES, st.integers(0, ROWS - 1), st.sampled_from([np.nan, np.inf, -np.inf, 3e38, -3e38]))
def test_one_broken_value_is_found_in_its_row(
    inputs_B: np.ndarray[tuple[int, int], np.dtype[np.float32]], row: int, value: float
) -> None:
    """Whatever the other values are."""
    data = replace(make_table(ROWS), inputs_B=inputs_B, features=())
    broken_B = inputs_B.copy()
    broken_B[row, -1] = value
    found = find_anomalies(replace(data, inputs_B=broken_B), infer_schema(data))
    assert any(anomaly.fatal and anomaly.rows == (row,) for anomaly in found)


@given(ANY)
def test_any_table_can_be_described(inputs_B: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> None:
    """NaN, infinity and the greatest numbers give figures, not errors."""
    for feature in describe(replace(make_table(ROWS), inputs_B=inputs_B)).features:
        assert feature.low <= feature.median <= feature.high
        assert np.isfinite(feature.std)
