"""The NPZ writer: numpy reads it, and its bytes depend on the arrays alone."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converter.archive import encode_npz

if TYPE_CHECKING:
    from numpy.typing import NDArray


def test_numpy_reads_what_was_written() -> None:
    """Names, types, shapes and values come back."""
    arrays: dict[str, NDArray[Any]] = {
        "inputs": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "outputs": np.ones((2, 5), np.float32),
    }
    with np.load(io.BytesIO(encode_npz(arrays)), allow_pickle=False) as archive:
        for name, array in arrays.items():
            np.testing.assert_array_equal(archive[name], array)
            assert archive[name].dtype == array.dtype


def test_memory_layout_and_time_do_not_show() -> None:
    """A transposed view gives the bytes of its copy, now and later."""
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert encode_npz({"a": array.T}) == encode_npz({"a": array.T.copy()})


def test_objects_are_refused() -> None:
    """Nothing that needs pickle gets into a release."""
    with pytest.raises(ValueError, match="Object arrays"):
        encode_npz({"a": np.array([{}], dtype=object)})
