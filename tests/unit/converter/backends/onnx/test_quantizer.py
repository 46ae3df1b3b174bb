"""Static int8 to plan: smaller, near the float model, exactly as asked, or refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converter.backends.onnx.canonical import IR_VERSION, OPSET
from converter.backends.onnx.model import dynamic_int8, prepare_float
from converter.backends.onnx.quantizer import OnnxQuantizer
from converter.plan import Plan
from converter.proof.parity import sqnr_db
from converter.recipe import Ranges
from converter.search import Goal, Search, SearchTrial
from fleet_contract.errors import ModelError
from tests.fakes.converter_onnx_models import CLASSES, conv_net, dense_net, images, looped, model_of, saved

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@pytest.fixture(scope="module")
def quantizer(tmp_path_factory: pytest.TempPathFactory) -> OnnxQuantizer:
    """Over the small convolutional model; plans leave no trace in it."""
    return quantizer_of(conv_net(), tmp_path_factory.mktemp("model"))


def quantizer_of(model: Any, folder: Path) -> OnnxQuantizer:
    """Over any model of images."""
    return OnnxQuantizer(prepare_float(saved(model, folder), folder), images(16))


def distance_db(quantizer: OnnxQuantizer, plan: Plan) -> float:
    """How near a plan is to the float model on other rows."""
    rows_B = images(32, seed=9)
    return sqnr_db(quantizer.scores(quantizer.quantize(plan), rows_B), quantizer.float_scores(rows_B))


def graph_of(data: bytes) -> Any:
    """The graph of an artifact."""
    return onnx.load_from_string(data).graph


def zero_points(graph: Any, kinds: Iterable[int]) -> dict[str, list[int]]:
    """Zero points of activations by name, of the element types asked for."""
    names = {node.input[2] for node in graph.node if node.op_type == "QuantizeLinear"}
    return {
        tensor.name: numpy_helper.to_array(tensor).ravel().tolist()
        for tensor in graph.initializer
        if tensor.name in names and tensor.data_type in set(kinds)
    }


def test_layers_are_those_that_can_be_chosen(quantizer: OnnxQuantizer) -> None:
    """In the order in which they run, with their weights; a Relu follows its input and is no choice."""
    assert [(layer.kind, layer.weight_count) for layer in quantizer.layers] == [
        ("Conv", 24 * 27),
        ("Conv", 24 * 24 * 9),
        ("Add", 0),
        ("GlobalAveragePool", 0),
        ("Gemm", 24 * CLASSES),
        ("Softmax", 0),
    ]
    assert len({layer.name for layer in quantizer.layers}) == 6
    assert quantizer.int4_layers == ()


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("ranges", [Ranges.MINMAX, Ranges.MSE])
def test_a_plan_gives_a_smaller_model_near_the_float_one(
    quantizer: OnnxQuantizer, *, ranges: Ranges, signed: bool
) -> None:
    """With float edges, in the operator set and IR version that devices are told of."""
    data = quantizer.quantize(Plan(ranges=ranges, signed=signed))
    assert len(data) < 0.6 * len(quantizer._float_bytes)
    model = onnx.load_from_string(data)
    assert (model.opset_import[0].version, model.ir_version) == (OPSET, IR_VERSION)
    edges = (*model.graph.input, *model.graph.output)
    assert [(value.name, value.type.tensor_type.elem_type) for value in edges] == [
        ("input", TensorProto.FLOAT),
        ("output", TensorProto.FLOAT),
    ]
    assert distance_db(quantizer, Plan(ranges=ranges, signed=signed)) > 20.0


def test_unsigned_plans_have_unsigned_activations(quantizer: OnnxQuantizer) -> None:
    """And int32 biases, as every onnxruntime fuses them."""
    graph = graph_of(quantizer.quantize(Plan()))
    assert zero_points(graph, [TensorProto.UINT8])
    assert not zero_points(graph, [TensorProto.INT8])
    assert any(tensor.data_type == TensorProto.INT32 and len(tensor.dims) == 1 for tensor in graph.initializer)


def test_signed_plans_are_what_tensorrt_takes(quantizer: OnnxQuantizer) -> None:
    """All zero points are 0, no bias is int32, and no quantized value feeds two operators."""
    graph = graph_of(quantizer.quantize(Plan(signed=True)))
    points = zero_points(graph, [TensorProto.INT8, TensorProto.UINT8])
    assert {point for each in points.values() for point in each} == {0}
    assert not any(tensor.data_type == TensorProto.INT32 for tensor in graph.initializer)
    dequantized = [name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output]
    reads = [name for node in graph.node for name in node.input]
    assert max(reads.count(name) for name in dequantized) == 1


@pytest.mark.parametrize("signed", [False, True])
def test_weights_are_per_channel_and_take_seven_bits(quantizer: OnnxQuantizer, *, signed: bool) -> None:
    """No product saturates on any processor (decision 0007)."""
    graph = graph_of(quantizer.quantize(Plan(signed=signed)))
    weights = [
        numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if tensor.data_type == TensorProto.INT8 and len(tensor.dims) > 1
    ]
    assert len(weights) == 3
    for weight in weights:
        largest_C = np.abs(weight.astype(int)).reshape(len(weight), -1).max(1)
        assert (largest_C >= 63).all()
        assert (largest_C <= 64).all()


def test_float_layers_stay_float(quantizer: OnnxQuantizer) -> None:
    """Their weights are there as they were; the others are quantized."""
    first = quantizer.layers[0]
    kept = graph_of(quantizer.quantize(Plan(float_layers=(first.name,))))
    floats = [tensor for tensor in kept.initializer if tensor.data_type == TensorProto.FLOAT]
    assert max(int(np.prod(tensor.dims)) for tensor in floats) == first.weight_count
    all_but_last = tuple(sorted(layer.name for layer in quantizer.layers[:-1]))
    alone = graph_of(quantizer.quantize(Plan(float_layers=all_but_last)))
    assert [node.op_type for node in alone.node].count("QuantizeLinear") == 2


def test_more_float_layers_are_larger_and_nearer(quantizer: OnnxQuantizer) -> None:
    """What the search trades."""
    names = tuple(sorted(layer.name for layer in quantizer.layers if not layer.weight_count))
    mixed, full = Plan(float_layers=(quantizer.layers[0].name, *names)), Plan()
    assert len(quantizer.quantize(full)) < len(quantizer.quantize(mixed)) < len(quantizer._float_bytes)
    assert distance_db(quantizer, mixed) > distance_db(quantizer, full)


def test_a_plan_is_done_alike_whatever_came_before(quantizer: OnnxQuantizer) -> None:
    """Plans leave no trace in each other; the number of rows counts."""
    plan = Plan(ranges=Ranges.MSE)
    first = quantizer.quantize(plan)
    fewer = quantizer.quantize(msgspec.structs.replace(plan, calibration_rows=2))
    quantizer.quantize(Plan(signed=True, float_layers=(quantizer.layers[1].name,)))
    assert quantizer.quantize(plan) == first != fewer


def test_the_search_rescues_a_model_that_int8_spoils(quantizer: OnnxQuantizer) -> None:
    """Layers go back to float until the goal holds, and only those that it takes."""
    rows_B = images(40, seed=7)
    trials: list[SearchTrial] = []
    full_db = sqnr_db(quantizer.scores(quantizer.quantize(Plan()), rows_B), quantizer.float_scores(rows_B))
    search = Search(quantizer, rows_B, Goal(min_sqnr_db=full_db + 2.0), record=trials.append)
    found = search.rescue(Plan())
    assert found.holds
    assert 0 < len(found.plan.float_layers) < len(quantizer.layers)
    assert found.trial.size_bytes < len(quantizer._float_bytes)
    assert not any(trial.error for trial in trials)


BAD_PLANS = {
    "bias correction": (Plan(bias=True), "for TFLite only"),
    "int4": (Plan(int4_layers=("n1",)), "for TFLite only"),
    "an unknown layer": (Plan(float_layers=("n99",)), "no layers n99"),
    "the TFLite converter's ranges": (Plan(ranges=Ranges.TF), "got tf"),
}


@pytest.mark.parametrize(("plan", "reason"), BAD_PLANS.values(), ids=BAD_PLANS.keys())
def test_a_plan_that_cannot_be_done_is_refused(quantizer: OnnxQuantizer, plan: Plan, reason: str) -> None:
    """Nothing of a plan is quietly left out."""
    with pytest.raises(ModelError, match=reason):
        quantizer.quantize(plan)


def test_all_layers_in_float_are_refused(quantizer: OnnxQuantizer) -> None:
    """That would be the float model under another name."""
    with pytest.raises(ModelError, match="nothing would be quantized"):
        quantizer.quantize(Plan(float_layers=tuple(sorted(layer.name for layer in quantizer.layers))))


def test_a_model_too_small_to_gain_is_refused(tmp_path: Path) -> None:
    """Int8 is never larger than float."""
    quantizer = quantizer_of(conv_net(channels=2), tmp_path)
    with pytest.raises(ModelError, match="its weights are too few to pay"):
        quantizer.quantize(Plan())


def test_a_model_without_weights_is_refused(tmp_path: Path) -> None:
    """The operators that it has are named."""
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], ("x", (1, 4)), ("y", (1, 4)))
    with pytest.raises(ModelError, match="no operator with constant weights can be quantized; the model has Relu"):
        OnnxQuantizer(prepare_float(saved(model, tmp_path), tmp_path), np.ones((4, 4), np.float32))


def test_a_model_that_is_quantized_already_is_refused(tmp_path: Path) -> None:
    """Twice quantized is neither."""
    path = tmp_path / "dynamic.onnx"
    path.write_bytes(dynamic_int8(prepare_float(saved(dense_net(), tmp_path), tmp_path)))
    with pytest.raises(ModelError, match="quantized already"):
        OnnxQuantizer(path, np.ones((4, 64), np.float32))


def test_an_artifact_that_is_no_model_is_refused(quantizer: OnnxQuantizer) -> None:
    """The runtime's error is ours."""
    with pytest.raises(ModelError, match="onnxruntime: loading the model"):
        quantizer.scores(b"no model", images(1))


def test_operators_of_onnxruntime_itself_stay_and_the_rest_is_quantized(tmp_path: Path) -> None:
    """Contrib operators have no ONNX shape rules; types and shapes come from the runtime."""
    model = conv_net()
    model.graph.node[2].op_type, model.graph.node[2].domain = "Gelu", "com.microsoft"
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    quantizer = quantizer_of(model, tmp_path)
    assert [layer.kind for layer in quantizer.layers].count("Conv") == 2
    assert "Gelu" in [node.op_type for node in graph_of(quantizer.quantize(Plan())).node]
    assert distance_db(quantizer, Plan()) > 20.0


def test_weights_inside_a_loop_are_refused(tmp_path: Path) -> None:
    """The tool would leave them in float and say nothing."""
    with pytest.raises(ModelError, match="no operator with constant weights can be quantized; the model has Loop"):
        OnnxQuantizer(prepare_float(saved(looped(), tmp_path), tmp_path), np.ones((4, 64), np.float32))
