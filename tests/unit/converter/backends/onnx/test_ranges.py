"""Ranges of activations: from all rows or some, over every value that a node makes, the same in every run."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from converter.backends.onnx.ranges import MAX_SAMPLE, Activations
from converter.recipe import Ranges
from fleet_contract.errors import ModelError
from tests.fakes.converter_onnx_models import conv_net, images, model_of


def doubled(width: int = 4) -> onnx.ModelProto:
    """Twice the input, then a Relu, with shapes noted."""
    two = numpy_helper.from_array(np.array([2.0], np.float32), "two")
    nodes = [helper.make_node("Mul", ["x", "two"], ["m"]), helper.make_node("Relu", ["m"], ["y"])]
    return onnx.shape_inference.infer_shapes(model_of(nodes, ("x", (1, width)), ("y", (1, width)), [two]))


ROWS = np.array([[0, 1, 2, 3], [-5, 0, 0, 0], [0, 0, 0, 7]], np.float32)


def test_minmax_is_the_least_and_the_greatest_of_all_rows() -> None:
    """Inputs, inner values and outputs have each their own."""
    found = Activations(doubled(), ROWS).ranges(Ranges.MINMAX, rows=0, symmetric=False)
    assert found == {"x": (-5.0, 7.0), "m": (-10.0, 14.0), "y": (0.0, 14.0)}


def test_fewer_rows_are_spread_over_all() -> None:
    """Two of three rows are the first and the last."""
    found = Activations(doubled(), ROWS).ranges(Ranges.MINMAX, rows=2, symmetric=False)
    assert found["x"] == (0.0, 7.0)


def test_more_rows_than_there_are_means_all() -> None:
    """A plan made for a larger sample still works."""
    seen = Activations(doubled(), ROWS)
    assert seen.ranges(Ranges.MINMAX, rows=99, symmetric=False) == seen.ranges(Ranges.MINMAX, rows=0, symmetric=False)


def test_least_error_ranges_lie_inside_minmax_ranges() -> None:
    """Clipping only ever takes away."""
    model = onnx.shape_inference.infer_shapes(conv_net())
    seen = Activations(model, images(12))
    wide, narrow = (seen.ranges(method, rows=0, symmetric=False) for method in (Ranges.MINMAX, Ranges.MSE))
    assert wide.keys() == narrow.keys()
    for name, (low, high) in narrow.items():
        assert min(wide[name][0], 0.0) <= low <= 0.0 <= high <= max(wide[name][1], 0.0)


def test_what_is_kept_of_a_large_activation_is_bounded_and_fair() -> None:
    """A sample stands for all channels: the range found from it is that of all values."""
    rng = np.random.default_rng(5)
    rows_B = rng.normal(size=(4, 6 * MAX_SAMPLE)).astype(np.float32)
    seen = Activations(doubled(6 * MAX_SAMPLE), rows_B)
    assert seen._seen["m"].sample_BS.size <= MAX_SAMPLE
    assert seen._seen["m"].sample_BS.std() == pytest.approx(2.0, rel=0.05)
    _, high = seen.ranges(Ranges.MSE, rows=0, symmetric=True)["m"]
    assert 6.0 < high < 10.0


def test_two_runs_agree() -> None:
    """Nothing is drawn by chance."""
    model = onnx.shape_inference.infer_shapes(conv_net())
    first, second = (Activations(model, images(6)).ranges(Ranges.MSE, rows=4, symmetric=True) for _ in range(2))
    assert first == second


def test_the_tflite_converters_ranges_are_refused() -> None:
    """That method is another tool's."""
    with pytest.raises(ModelError, match="got tf, expected minmax or mse"):
        Activations(doubled(), ROWS).ranges(Ranges.TF, rows=0, symmetric=False)


def test_no_rows_are_refused() -> None:
    """Ranges of nothing would be invented."""
    with pytest.raises(ModelError, match="got no rows"):
        Activations(doubled(), ROWS[:0])


def test_a_value_that_is_not_finite_is_refused() -> None:
    """An overflow inside the model is named with the value."""
    with pytest.raises(ModelError, match="'m' is not finite"):
        Activations(doubled(), np.full((1, 4), 3e38, np.float32))


def test_rows_of_another_shape_are_refused() -> None:
    """The runtime's own words are passed on."""
    with pytest.raises(ModelError, match="calibrating"):
        Activations(doubled(), np.zeros((2, 5), np.float32))
