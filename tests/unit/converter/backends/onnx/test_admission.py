"""Foreign ONNX models: what can be brought to the common form is, what cannot is refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from converter.backends.onnx.canonical import IR_VERSION, OPSET
from converter.backends.onnx.model import prepare_float
from converter.backends.onnx.session import open_onnx, run_rows
from fleet_contract.errors import ModelError
from tests.fakes.converter_onnx_models import CLASSES, IMAGE_SHAPE, conv_net, images, model_of, saved

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def prepared(model: Any, folder: Path) -> Any:
    """What `prepare_float` makes of a model."""
    return onnx.load(prepare_float(saved(model, folder), folder))


def with_weights_as_inputs() -> Any:
    """A model of IR version 3, which lists its weights as inputs too."""
    model = conv_net(opset=8)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, TensorProto.FLOAT, list(tensor.dims)))
    model.graph.node[-1].attribute[0].i = 1
    return model


def under_the_other_domain_name() -> Any:
    """`ai.onnx` spelled out."""
    model = conv_net()
    model.opset_import[0].domain = "ai.onnx"
    for node in model.graph.node:
        node.domain = "ai.onnx"
    return model


def with_a_local_function() -> Any:
    """The first Relu as a function of the model's own."""
    model = conv_net()
    body = [helper.make_node("Relu", ["a"], ["b"])]
    model.functions.append(helper.make_function("mine", "Ramp", ["a"], ["b"], body, [helper.make_opsetid("", 17)]))
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.graph.node[2].op_type, model.graph.node[2].domain = "Ramp", "mine"
    return model


def with_stale_shapes() -> Any:
    """An exporter's notes of shapes with an open batch, inside and at the output."""
    model = onnx.shape_inference.infer_shapes(conv_net(batch="unk__7"))
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_param = "unk__8"
    return model


SAME: dict[str, Callable[[], Any]] = {
    "an open batch axis": lambda: conv_net(batch="N"),
    "a batch axis of unknown size": lambda: conv_net(batch=0),
    "operator set 13": lambda: conv_net(opset=13),
    "operator set 18": lambda: conv_net(opset=18),
    "operator set 21": lambda: conv_net(opset=21),
    "weights as inputs": with_weights_as_inputs,
    "other names": lambda: conv_net(prefix="net/block:0/"),
    "the domain ai.onnx": under_the_other_domain_name,
    "a local function": with_a_local_function,
    "stale shapes": with_stale_shapes,
}


@pytest.mark.parametrize("make", SAME.values(), ids=SAME.keys())
def test_one_model_written_in_several_ways_is_one_file(make: Callable[[], Any], tmp_path: Path) -> None:
    """Exporters differ; the prepared model does not."""
    plain = prepare_float(saved(conv_net(), tmp_path), tmp_path).read_bytes()
    assert prepare_float(saved(make(), tmp_path), tmp_path).read_bytes() == plain


def test_a_prepared_model_computes_what_the_exported_one_does(tmp_path: Path) -> None:
    """With a batch of 1, the operator set and the IR version that devices are told of."""
    model = conv_net(batch="N", opset=13)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    expected_BK = session.run(None, {"x": images(6)})[0]
    path = prepare_float(saved(model, tmp_path), tmp_path)
    np.testing.assert_allclose(run_rows(open_onnx(path.read_bytes()), images(6)), expected_BK, atol=1e-6)
    made = onnx.load(path)
    assert (made.opset_import[0].version, made.ir_version) == (OPSET, IR_VERSION)
    assert [axis.dim_value for axis in made.graph.input[0].type.tensor_type.shape.dim] == [1, *IMAGE_SHAPE]
    assert [axis.dim_value for axis in made.graph.output[0].type.tensor_type.shape.dim] == [1, CLASSES]


@pytest.mark.parametrize("opset", [11, 18])
def test_operators_that_differ_between_sets_are_rewritten(opset: int, tmp_path: Path) -> None:
    """ReduceMean takes its axes as an attribute in set 17, Squeeze as an input."""
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    if opset == 18:
        nodes, weights = [helper.make_node("ReduceMean", ["x", "axes"], ["y"], keepdims=0)], [axes]
    else:
        mean = helper.make_node("ReduceMean", ["x"], ["m"], axes=[2, 3], keepdims=1)
        nodes, weights = [mean, helper.make_node("Squeeze", ["m"], ["y"], axes=[2, 3])], []
    model = model_of(nodes, ("x", ("N", 3, 4, 5)), ("y", ("N", 3)), weights, opset=opset)
    path = prepare_float(saved(model, tmp_path), tmp_path)
    rows_B = np.random.default_rng(1).normal(size=(2, 3, 4, 5)).astype(np.float32)
    got_BK = run_rows(open_onnx(path.read_bytes()), rows_B)
    np.testing.assert_allclose(got_BK, rows_B.mean((2, 3)), atol=1e-6)


def test_a_model_inside_an_if_keeps_working(tmp_path: Path) -> None:
    """Branches that end in a constant, which folding makes an initializer, stay whole."""
    value = numpy_helper.from_array(np.full((1, 4), 7.0, np.float32))
    constant = helper.make_node("Constant", [], ["c"], value=value)
    result = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 4)) for name in ("c", "n")]
    then = helper.make_graph([constant], "then", [], result[:1])
    otherwise = helper.make_graph([helper.make_node("Neg", ["x"], ["n"])], "else", [], result[1:])
    nodes = [
        helper.make_node("ReduceSum", ["x"], ["s"], keepdims=0),
        helper.make_node("Cast", ["s"], ["flag"], to=TensorProto.BOOL),
        helper.make_node("If", ["flag"], ["y"], then_branch=then, else_branch=otherwise),
    ]
    path = prepare_float(saved(model_of(nodes, ("x", ("N", 4)), ("y", ("N", 4))), tmp_path), tmp_path)
    rows_B = np.array([[1, 0, 0, 0], [1, -1, 0, 0]], np.float32)
    got_BK = run_rows(open_onnx(path.read_bytes()), rows_B)
    np.testing.assert_array_equal(got_BK, [[7, 7, 7, 7], [-1, 1, 0, 0]])


def changed(change: Callable[[Any], object]) -> Any:
    """The plain model after `change`."""
    model = conv_net()
    change(model)
    return model


def _custom_domain(model: Any) -> None:
    model.graph.node[2].domain = "acme"
    model.opset_import.append(helper.make_opsetid("acme", 1))


def _external_weight(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "weights.bin"


def _axis(value: Any, axis: int) -> Any:
    return value.type.tensor_type.shape.dim[axis]


def _data_dependent_output() -> Any:
    nodes = [
        helper.make_node("NonZero", ["x"], ["z"]),
        helper.make_node("Cast", ["z"], ["y"], to=TensorProto.FLOAT),
    ]
    return model_of(nodes, ("x", (1, 4)), ("y", (2, "n")))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "custom operators": (lambda: changed(_custom_domain), "custom operators acme.Relu"),
    "weights in another file": (lambda: changed(_external_weight), "weight 'k0' lies in another file"),
    "an open height": (
        lambda: changed(lambda model: setattr(_axis(model.graph.input[0], 1), "dim_param", "h")),
        r"shape \(1, \?, 8, 3\), expected fixed sizes",
    ),
    "a fixed batch of 4": (lambda: conv_net(batch=4), "batch fixed at 4"),
    "integer input": (
        lambda: changed(lambda model: setattr(model.graph.input[0].type.tensor_type, "elem_type", TensorProto.UINT8)),
        "input 'x' is of type UINT8, expected FLOAT",
    ),
    "two inputs": (
        lambda: changed(
            lambda model: model.graph.input.append(helper.make_tensor_value_info("x2", TensorProto.FLOAT, (1,)))
        ),
        r"got 2 inputs \(x, x2\), expected one",
    ),
    "two outputs": (
        lambda: changed(
            lambda model: model.graph.output.append(helper.make_tensor_value_info("g", TensorProto.FLOAT, (1, CLASSES)))
        ),
        "got 2 outputs",
    ),
    "an operator of a later set": (
        lambda: model_of([helper.make_node("Gelu", ["x"], ["y"])], ("x", (1, 4)), ("y", (1, 4)), opset=20),
        "Gelu is not in operator set 17",
    ),
    "an operator that is in no set": (
        lambda: changed(lambda model: setattr(model.graph.node[2], "op_type", "Ramp")),
        "Ramp",
    ),
    "an output whose size depends on the input": (_data_dependent_output, r"expected fixed sizes after a 1"),
    "an output without a batch axis": (
        lambda: model_of([helper.make_node("Squeeze", ["x"], ["y"])], ("x", (1, 4)), ("y", (4,))),
        r"has shape \(4\) for a batch of 1",
    ),
    "no nodes": (lambda: model_of([], ("x", (1, 4)), ("x", (1, 4))), "no nodes"),
    "a missing weight": (lambda: changed(lambda model: model.graph.initializer.pop()), "'?e'?"),
}


@pytest.mark.parametrize(("make", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_taken_is_refused(make: Callable[[], Any], reason: str, tmp_path: Path) -> None:
    """The reason is in the message."""
    with pytest.raises(ModelError, match=reason):
        prepare_float(saved(make(), tmp_path), tmp_path)


def test_a_truncated_file_is_refused(tmp_path: Path) -> None:
    """Half a download is no model."""
    path = saved(conv_net(), tmp_path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelError, match="onnx: reading the model"):
        prepare_float(path, tmp_path)
