"""Canonical ONNX in its corners: outputs that are weights or inputs, several spellings of a tensor, strings, axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

from converter.backends.onnx.canonical import canonical_bytes
from tests.fakes.converter_onnx_models import model_of


def run(data: bytes, row: Any) -> Any:
    """All outputs for one row."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: np.array(row, np.float32)})


def test_an_output_that_is_a_weight_keeps_its_value() -> None:
    """Beside an equal weight that a node reads."""
    values = np.array([[1.0, 2.0]], np.float32)
    weights = [numpy_helper.from_array(values, name) for name in ("w", "y2")]
    model = model_of([helper.make_node("Add", ["x", "w"], ["y"])], ("x", (1, 2)), ("y", (1, 2)), weights)
    model.graph.output.append(helper.make_tensor_value_info("y2", TensorProto.FLOAT, (1, 2)))
    total, constant = run(canonical_bytes(model), [[3.0, 3.0]])
    assert total.tolist() == [[4.0, 5.0]]
    assert constant.tolist() == values.tolist()


def test_the_spelling_of_a_tensor_does_not_show() -> None:
    """As raw bytes or as a list, in a weight or in an attribute."""
    raw, listed = (_with_constants(raw=each) for each in (True, False))
    assert raw.SerializeToString() != listed.SerializeToString()
    assert canonical_bytes(raw) == canonical_bytes(listed)


def _with_constants(*, raw: bool) -> Any:
    data = np.array([1.0, 2.0], np.float32)
    values = data.tobytes() if raw else data.tolist()
    tensors = [helper.make_tensor(name, TensorProto.FLOAT, (2,), values, raw=raw) for name in ("w", f"c{raw}")]
    nodes = [
        helper.make_node("Constant", [], ["c"], value=tensors[1]),
        helper.make_node("Add", ["x", "w"], ["s"]),
        helper.make_node("Mul", ["s", "c"], ["y"]),
    ]
    return model_of(nodes, ("x", (1, 2)), ("y", (1, 2)), tensors[:1])


def test_strings_have_a_stable_name() -> None:
    """Their numpy form holds addresses, which differ in every process; their content does not."""
    names = [_with_strings(words) for words in (["a", "b"], ["a", "b"], ["a", "c"])]
    assert names[0] == names[1] != names[2]


def _with_strings(words: list[str]) -> str:
    tensor = helper.make_tensor("words", TensorProto.STRING, (2,), [word.encode() for word in words])
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], ("x", (1, 2)), ("y", (1, 2)), [tensor])
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.STRING, (1, 2)))
    axes = numpy_helper.from_array(np.array([0], np.int64), "axes")
    model.graph.initializer.append(axes)
    model.graph.node.append(helper.make_node("Unsqueeze", ["words", "axes"], ["z"]))
    graph = onnx.load_from_string(canonical_bytes(model)).graph
    return next(str(each.name) for each in graph.initializer if each.data_type == TensorProto.STRING)


def test_names_of_open_axes_do_not_show() -> None:
    """Equal ones stay equal, under a name of their order."""
    models = [
        model_of([helper.make_node("Relu", ["x"], ["y"])], ("x", (name, 4)), ("y", (name, 4)))
        for name in ("unk__7", "batch")
    ]
    first, second = (canonical_bytes(model) for model in models)
    assert first == second
    graph = onnx.load_from_string(first).graph
    axes = [value.type.tensor_type.shape.dim[0].dim_param for value in (*graph.input, *graph.output)]
    assert axes == ["axis0", "axis0"]


def test_a_loop_that_hands_its_input_on_keeps_working() -> None:
    """The body's condition is an input and an output of the body at once."""
    body = helper.make_graph(
        [helper.make_node("Add", ["sum", "x"], ["more"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, ()),
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("sum", TensorProto.FLOAT, (1, 2)),
        ],
        [
            helper.make_tensor_value_info("go", TensorProto.BOOL, ()),
            helper.make_tensor_value_info("more", TensorProto.FLOAT, (1, 2)),
        ],
    )
    constants = [
        numpy_helper.from_array(np.array(3, np.int64), "times"),
        numpy_helper.from_array(np.array([1], bool).reshape(()), "yes"),
    ]
    node = helper.make_node("Loop", ["times", "yes", "x"], ["y"], body=body)
    data = canonical_bytes(model_of([node], ("x", (1, 2)), ("y", (1, 2)), constants))
    assert run(data, [[1.0, 2.0]])[0].tolist() == [[4.0, 8.0]]
