"""Half precision and dynamic int8: smaller and near, or refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from converter.backends.onnx.model import dynamic_int8, half, prepare_float
from converter.backends.onnx.session import open_onnx, run_rows
from converter.proof.parity import sqnr_db
from fleet_contract.errors import ModelError
from tests.fakes.converter_onnx_models import conv_net, dense_net, images, looped, model_of, saved, weight

if TYPE_CHECKING:
    from pathlib import Path

RNG = np.random.default_rng(2)


def float_model(model: Any, folder: Path) -> Path:
    """The prepared model."""
    return prepare_float(saved(model, folder), folder)


def test_half_is_half_as_large_and_nearly_the_same(tmp_path: Path) -> None:
    """Weights take two bytes, edges stay float32."""
    path = float_model(conv_net(channels=48), tmp_path)
    data = half(path)
    assert len(data) < 0.6 * path.stat().st_size
    float_BK, half_BK = (run_rows(open_onnx(each), images(8)) for each in (path.read_bytes(), data))
    assert sqnr_db(half_BK, float_BK) > 45.0
    graph = onnx.load_from_string(data).graph
    assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == {TensorProto.FLOAT}


def test_half_refuses_weights_out_of_range(tmp_path: Path) -> None:
    """Clipping them would be another model."""
    model = dense_net()
    model.graph.initializer[0].CopyFrom(onnx.numpy_helper.from_array(np.full((64, 64), 1e5, np.float32), "w"))
    with pytest.raises(ModelError, match="got a weight of 100000, expected at most 65504"):
        half(float_model(model, tmp_path))


def test_half_refuses_a_model_without_weights(tmp_path: Path) -> None:
    """There is nothing to make smaller."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], ("x", (1, 4)), ("y", (1, 4)))
    with pytest.raises(ModelError, match="no weights"):
        half(float_model(model, tmp_path))


def test_dynamic_int8_takes_a_quarter_for_matrix_products(tmp_path: Path) -> None:
    """Weights are int8, inputs are quantized as they come, edges stay float32."""
    path = float_model(dense_net(), tmp_path)
    data = dynamic_int8(path)
    assert len(data) < 0.4 * path.stat().st_size
    rows_B = RNG.normal(size=(16, 64)).astype(np.float32)
    float_BK, int8_BK = (run_rows(open_onnx(each), rows_B) for each in (path.read_bytes(), data))
    assert sqnr_db(int8_BK, float_BK) > 30.0


def test_dynamic_int8_leaves_convolutions_in_float(tmp_path: Path) -> None:
    """Quantized dynamically they are many times slower."""
    operators = [node.op_type for node in onnx.load_from_string(dynamic_int8(wide_head(tmp_path))).graph.node]
    assert operators.count("Conv") == 2
    assert "ConvInteger" not in operators
    assert "MatMulInteger" in operators


def wide_head(folder: Path) -> Path:
    """A prepared model of convolutions whose last layer is worth quantizing."""
    model = conv_net(channels=256)
    return float_model(model, folder)


def test_dynamic_int8_refuses_a_model_of_convolutions(tmp_path: Path) -> None:
    """Nothing would be quantized, and nobody would notice."""
    nodes = [helper.make_node("Conv", ["x", "k"], ["y"])]
    model = model_of(nodes, ("x", (1, 3, 8, 8)), ("y", (1, 9, 6, 6)), [weight("k", 9, 3, 3, 3, rng=RNG)])
    with pytest.raises(ModelError, match="no MatMul or Gemm, so that nothing can be quantized"):
        dynamic_int8(float_model(model, tmp_path))


def test_dynamic_int8_refuses_products_of_two_inputs(tmp_path: Path) -> None:
    """Attention scores have no weights."""
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"])]
    with pytest.raises(ModelError, match="constant weights, so that nothing was quantized"):
        dynamic_int8(float_model(model_of(nodes, ("x", (1, 4, 4)), ("y", (1, 4, 4))), tmp_path))


def test_dynamic_int8_refuses_to_make_a_model_larger(tmp_path: Path) -> None:
    """Eight weights do not pay for the nodes."""
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    model = model_of(nodes, ("x", (1, 4)), ("y", (1, 2)), [weight("w", 4, 2, rng=RNG)])
    with pytest.raises(ModelError, match="too few to pay"):
        dynamic_int8(float_model(model, tmp_path))


def test_a_recurrent_layer_keeps_its_float_form(tmp_path: Path) -> None:
    """A loop body that reads weights from around it computes the same after preparing."""
    rows_B = RNG.normal(size=(3, 64)).astype(np.float32)
    before_BK = run_rows(open_onnx(looped().SerializeToString()), rows_B)
    after_BK = run_rows(open_onnx(float_model(looped(), tmp_path).read_bytes()), rows_B)
    np.testing.assert_array_equal(after_BK, before_BK)


def test_half_reaches_into_a_loop(tmp_path: Path) -> None:
    """Its body then computes in float16 with the weights around it."""
    path = float_model(looped(), tmp_path)
    data = half(path)
    rows_B = RNG.normal(size=(3, 64)).astype(np.float32)
    float_BK, half_BK = (run_rows(open_onnx(each), rows_B) for each in (path.read_bytes(), data))
    assert len(data) < 0.6 * path.stat().st_size
    assert sqnr_db(half_BK, float_BK) > 45.0


def test_dynamic_int8_does_not_reach_into_a_loop(tmp_path: Path) -> None:
    """The weights in there stay float, which is said."""
    with pytest.raises(ModelError, match="no MatMul or Gemm"):
        dynamic_int8(float_model(looped(), tmp_path))
