"""Golden vectors: which rows, how much tolerance."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from converter.golden import INT8_FLIP_STEPS, absent_classes, golden_rows, least_agreement, tolerance
from converter.recipe import parse_recipe
from fleet_contract.tensors import DType, TensorSpec

FLOAT_OUT = TensorSpec(name="out", dtype=DType.FLOAT32, shape=(2,))
INT8_OUT = TensorSpec(name="out", dtype=DType.INT8, shape=(2,), scale=1 / 256, zero_point=-128)
REFERENCE_GK = np.tile(np.array([[0.9, 0.1], [0.2, 0.8]], np.float32), (32, 1))
INT8, FLOAT = parse_recipe("tflite-int8"), parse_recipe("onnx-f32")
Rows = NDArray[np.int64]


def inputs(count: int, seed: int = 1) -> NDArray[np.float32]:
    """Random images."""
    return np.random.default_rng(seed).random((count, 4, 4, 1), np.float32)


def scores(labels_B: Rows, classes: int) -> NDArray[np.float32]:
    """A model that is right everywhere and sure to a different degree on each row."""
    top_B = 0.5 + 0.4 * np.random.default_rng(2).random(len(labels_B), np.float32)
    scores_BK = np.repeat(((1 - top_B) / (classes - 1))[:, None], classes, axis=1)
    scores_BK[np.arange(len(labels_B)), labels_B] = top_B
    return scores_BK.astype(np.float32)


def chosen(labels_B: Rows, classes: int, slices: dict[str, NDArray[np.bool_]] | None = None) -> set[int]:
    """The golden rows of labelled random images."""
    rows = golden_rows(inputs(len(labels_B)), scores(labels_B, classes), labels_B, slices or {})
    assert rows.tolist() == sorted(set(rows.tolist()))
    return set(rows.tolist())


def test_golden_rows_cover_every_class_that_is_there() -> None:
    """A class with a single row among a thousand is in the golden set of 64."""
    labels_B = np.zeros(1000, np.int64)
    labels_B[777] = 2
    rows = chosen(labels_B, 3)
    assert len(rows) == 64
    assert 777 in rows


def test_golden_rows_cover_every_slice() -> None:
    """A slice of one row is in it."""
    night_B = np.arange(1000) == 555
    assert 555 in chosen(np.tile(np.arange(10), 100), 10, {"slice night": night_B, "slice none": night_B & ~night_B})


def test_golden_rows_spread_over_the_set() -> None:
    """Rows come from the whole set, not from its beginning, and from all classes alike."""
    rows = np.array(sorted(chosen(np.tile(np.arange(10), 40), 10)))
    assert rows.min() < 40
    assert rows.max() >= 320
    assert np.bincount(rows % 10, minlength=10).min() >= 4


def test_many_classes_make_more_golden_rows() -> None:
    """Each of 200 classes is covered."""
    labels_B = np.tile(np.arange(200), 5)
    rows = np.array(sorted(chosen(labels_B, 200)))
    assert set(labels_B[rows].tolist()) == set(range(200))


def test_the_edges_of_the_input_range_are_golden() -> None:
    """The darkest, the brightest, the flattest row and the one with the single bright pixel are all there."""
    inputs_B = inputs(500)
    inputs_B[101] *= 0.01
    inputs_B[202] = 0.99 + 0.005 * inputs_B[202]
    inputs_B[303] = 0.5
    inputs_B[404, 0, 0, 0] = 7.0
    labels_B = np.tile(np.arange(5), 100)
    rows = golden_rows(inputs_B, scores(labels_B, 5), labels_B, {})
    assert {101, 202, 303, 404} <= set(rows.tolist())


def test_the_least_and_most_sure_rows_and_those_near_a_tie_are_golden() -> None:
    """Where the float model hesitates a board is tested hardest; an exact tie shows nothing and is left."""
    labels_B = np.tile(np.arange(4), 100)
    scores_BK = scores(labels_B, 4)
    scores_BK[33] = (0.26, 0.25, 0.25, 0.24)
    scores_BK[77] = (1.0, 0.0, 0.0, 0.0)
    scores_BK[111] = (0.45, 0.448, 0.1, 0.002)
    scores_BK[222] = (0.45, 0.45, 0.1, 0.0)
    rows = golden_rows(inputs(400), scores_BK, labels_B, {})
    assert {33, 77, 111} <= set(rows.tolist())
    assert 222 not in set(rows.tolist())


def test_rows_without_labels_are_covered_by_what_the_model_says() -> None:
    """Every predicted class is there."""
    labels_B = np.zeros(800, np.int64)
    labels_B[640] = 3
    rows = golden_rows(inputs(800), scores(labels_B, 4), None, {})
    assert 640 in rows


def test_a_model_without_classes_gets_the_edges_of_its_outputs() -> None:
    """The rows with the least and the greatest output are golden, and 64 in all."""
    outputs_BK = np.random.default_rng(4).normal(size=(300, 7)).astype(np.float32)
    outputs_BK[50, 3], outputs_BK[60, 2] = 9.0, -9.0
    rows = golden_rows(inputs(300), outputs_BK, None, {}, classes=False)
    assert {50, 60} <= set(rows.tolist())
    assert len(rows) == 64


def test_few_rows_are_all_golden() -> None:
    """As many as there are."""
    labels_B = np.tile(np.arange(2), 32)
    assert len(chosen(labels_B, 2)) == 64


def test_golden_rows_are_the_same_every_time() -> None:
    """The choice depends on the data alone."""
    labels_B = np.random.default_rng(3).integers(0, 7, 500)
    assert chosen(labels_B, 7) == chosen(labels_B.copy(), 7)


def test_classes_without_a_row_are_named() -> None:
    """What cannot be covered is said; without labels nothing is known of it."""
    assert absent_classes(np.array([0, 2, 2]), ("cat", "dog", "fox")) == ["dog"]
    assert absent_classes(None, ("cat", "dog")) == []


@pytest.mark.parametrize(("recipe", "output"), [("tflite-int8", INT8_OUT), ("onnx-int8", FLOAT_OUT)])
def test_int8_tolerance_admits_what_other_processors_do(recipe: str, output: TensorSpec) -> None:
    """Nine steps more than measured here, as was seen across runtimes, is within; a wrong class score is not."""
    scores_GK = REFERENCE_GK + np.float32(0.01)
    bound = tolerance(parse_recipe(recipe), output, scores_GK, REFERENCE_GK)
    assert 0.01 + 9 / 256 < bound < 0.1


def test_tolerance_grows_with_the_range_of_outputs() -> None:
    """A regressor whose outputs reach over hundreds is not held to steps of a probability."""
    wide_GK = REFERENCE_GK * np.float32(500)
    assert tolerance(parse_recipe("onnx-int8"), FLOAT_OUT, wide_GK, wide_GK) > 9 * 400 / 256


def test_float_tolerance_is_tight() -> None:
    """A float variant may differ by rounding only."""
    bound = tolerance(parse_recipe("tflite-f32"), FLOAT_OUT, REFERENCE_GK + np.float32(1e-6), REFERENCE_GK)
    assert 1e-5 < bound < 1e-3


def test_least_agreement_leaves_room_for_a_row_or_two() -> None:
    """Two of 64 rows for int8, one for float, and never below nothing."""
    assert least_agreement(INT8, INT8_OUT, REFERENCE_GK, REFERENCE_GK) == 1 - 2 / 64
    assert least_agreement(FLOAT, FLOAT_OUT, REFERENCE_GK, REFERENCE_GK) == 1 - 1 / 64
    assert least_agreement(FLOAT, FLOAT_OUT, REFERENCE_GK[:, ::-1], REFERENCE_GK) == 0.0


def test_a_board_may_answer_rows_near_a_tie_otherwise() -> None:
    """Moving every score by a step on another board does not break the agreement that is asked of it."""
    scores_GK = REFERENCE_GK.copy()
    scores_GK[:5] = (0.5 + INT8_FLIP_STEPS / 256, 0.5)
    asked = least_agreement(INT8, INT8_OUT, scores_GK, REFERENCE_GK)
    there_GK = scores_GK + np.array([-1 / 256, 1 / 256], np.float32) * np.float32(1.01)
    measured_there = float((there_GK.argmax(1) == REFERENCE_GK.argmax(1)).mean())
    here = float((scores_GK.argmax(1) == REFERENCE_GK.argmax(1)).mean())
    assert asked <= measured_there < here


def test_a_float_tie_that_the_reference_breaks_otherwise_is_no_promise() -> None:
    """A device compares the first highest score, so what only agrees as a tie does not count."""
    tied_GK = np.tile(np.array([[0.5, 0.5]], np.float32), (64, 1))
    answers_GK = np.tile(np.array([[0.4, 0.6]], np.float32), (64, 1))
    assert least_agreement(FLOAT, FLOAT_OUT, answers_GK, tied_GK) == 0.0


def test_a_single_score_always_agrees() -> None:
    """One output has no second highest."""
    single_GK = np.random.default_rng(0).random((64, 1)).astype(np.float32)
    assert least_agreement(FLOAT, FLOAT_OUT, single_GK, single_GK) == 1 - 1 / 64
