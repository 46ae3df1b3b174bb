"""What tf2onnx leaves illegal is mended."""

from __future__ import annotations

import math

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper

from converter.backends.onnx.legalize import legalize


def test_erfc_becomes_one_minus_erf() -> None:
    """Two nodes that no operator set knows, as gelu makes them, run afterwards and give the right numbers."""
    edge = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3)) for name in "xz"]
    nodes = [helper.make_node("Erfc", ["x"], ["y"]), helper.make_node("Erfc", ["y"], ["z"])]
    graph = helper.make_graph(nodes, "g", edge[:1], edge[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    data = legalize(model).SerializeToString()
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    values = np.array([[-1.0, 0.0, 2.0]], np.float32)
    expected = [math.erfc(math.erfc(value)) for value in values[0]]
    np.testing.assert_allclose(session.run(None, {"x": values})[0][0], expected, atol=1e-6)


def test_a_legal_model_is_left_as_it_is() -> None:
    """Nothing is added where nothing is wrong."""
    edge = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1,)) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Erf", ["x"], ["y"])], "g", edge[:1], edge[1:])
    model = helper.make_model(graph)
    before = model.SerializeToString()
    assert onnx.load_from_string(before) == legalize(model)
