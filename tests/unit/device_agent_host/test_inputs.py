"""Callers' numbers become the model's element type without loss, or are refused."""

from __future__ import annotations

import numpy as np
import pytest

from device_agent.host.inputs import as_stored
from fleet_contract.errors import ContractError
from fleet_contract.tensors import DType, TensorSpec


def _spec(dtype: DType) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=(2,))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.array([[0, 255]]), DType.UINT8),
        (np.array([[1.5, 2.5]]), DType.FLOAT32),
        (np.array([[1, 2]], np.uint8), DType.FLOAT32),
        (np.array([[True, False]]), DType.INT8),
        (np.array([[1.5, 2.5]], np.float16), DType.FLOAT32),
    ],
)
def test_numbers_that_fit_are_taken_over_exactly(values: np.ndarray, dtype: DType) -> None:
    """A conversion without loss gives the same numbers in the wanted type."""
    stored = as_stored(values, _spec(dtype))
    assert stored.dtype == dtype.value
    assert stored.tolist() == values.tolist()


@pytest.mark.parametrize(
    ("values", "dtype", "words"),
    [
        (np.array([[0, 256]]), DType.UINT8, "0 to 256"),
        (np.array([[-1, 3]]), DType.UINT8, "-1 to 3"),
        (np.array([[1.0, 2.0]]), DType.UINT8, "float64"),
        (np.array([["1", "2"]]), DType.FLOAT32, "<U1"),
        (np.array([[None, 2]]), DType.FLOAT32, "object"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_by_name(values: np.ndarray, dtype: DType, words: str) -> None:
    """A conversion that would lose something names what it got."""
    with pytest.raises(ContractError, match=words):
        as_stored(values, _spec(dtype))


def test_the_right_type_is_not_copied() -> None:
    """An array that has the type already is used as it is."""
    values = np.zeros((1, 2), np.int8)
    assert as_stored(values, _spec(DType.INT8)) is values
