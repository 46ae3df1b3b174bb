"""Golden vectors: which rows, how much tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from converter.golden import absent_classes, golden_rows, least_agreement, tolerance
from converter.recipe import parse_recipe
from fleet_contract.tensors import DType, TensorSpec

FLOAT_OUT = TensorSpec(name="out", dtype=DType.FLOAT32, shape=(2,))
INT8_OUT = TensorSpec(name="out", dtype=DType.INT8, shape=(2,), scale=1 / 256, zero_point=-128)
REFERENCE_GK = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), (32, 1))


def test_golden_rows_cover_every_class_that_is_there() -> None:
    """A class with a single row among a thousand is in the golden set."""
    labels_B = np.zeros(1000, np.int64)
    labels_B[777] = 2
    rows = golden_rows(labels_B, 3)
    assert len(rows) == 64
    assert 777 in rows
    assert len(set(rows.tolist())) == 64


def test_golden_rows_spread_over_the_set() -> None:
    """Rows come from the whole set, not from its beginning."""
    rows = golden_rows(np.tile(np.arange(10), 40), 10)
    assert rows.min() < 40
    assert rows.max() > 360
    assert np.bincount(rows % 10, minlength=10).min() >= 6


def test_many_classes_make_more_golden_rows() -> None:
    """Each of 200 classes is covered."""
    labels_B = np.tile(np.arange(200), 5)
    assert set(labels_B[golden_rows(labels_B, 200)].tolist()) == set(range(200))


def test_golden_rows_are_the_same_every_time() -> None:
    """The choice depends on the labels alone."""
    labels_B = np.random.default_rng(3).integers(0, 7, 500)
    assert golden_rows(labels_B, 7).tolist() == golden_rows(labels_B.copy(), 7).tolist()


def test_classes_without_a_row_are_named() -> None:
    """What cannot be covered is said."""
    assert absent_classes(np.array([0, 2, 2]), ("cat", "dog", "fox")) == ["dog"]


@pytest.mark.parametrize(("recipe", "output"), [("tflite-int8", INT8_OUT), ("onnx-int8", FLOAT_OUT)])
def test_int8_tolerance_admits_what_other_processors_do(recipe: str, output: TensorSpec) -> None:
    """Nine steps more than measured here, as was seen across runtimes, is within; a wrong class score is not."""
    scores_GK = REFERENCE_GK + np.float32(0.01)
    bound = tolerance(parse_recipe(recipe), output, scores_GK, REFERENCE_GK)
    assert 0.01 + 9 / 256 < bound < 0.1


def test_float_tolerance_is_tight() -> None:
    """A float variant may differ by rounding only."""
    bound = tolerance(parse_recipe("tflite-f32"), FLOAT_OUT, REFERENCE_GK + np.float32(1e-6), REFERENCE_GK)
    assert 1e-5 < bound < 1e-3


def test_least_agreement_leaves_room_for_a_row_near_a_tie() -> None:
    """Two of 64 rows for int8, one for float, and never below nothing."""
    assert least_agreement(parse_recipe("tflite-int8"), REFERENCE_GK, REFERENCE_GK) == 1 - 2 / 64
    assert least_agreement(parse_recipe("onnx-f32"), REFERENCE_GK, REFERENCE_GK) == 1 - 1 / 64
    assert least_agreement(parse_recipe("onnx-f32"), REFERENCE_GK[:, ::-1], REFERENCE_GK) == 0.0
