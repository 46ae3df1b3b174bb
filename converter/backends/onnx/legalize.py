"""Mends what tf2onnx writes but no ONNX operator set knows.

TensorFlow lowers `gelu` to Erfc, which tf2onnx passes through (tensorflow-onnx PR 2463, open): Erfc(x) = 1 - Erf(x).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from onnx import helper, numpy_helper

from converter.backends.onnx.repeated import replace_all

_ONE: Final = "edgeferry_one"


def legalize(model: Any) -> Any:
    """The model with Erfc written as 1 - Erf in its main graph. `model` is changed and returned."""
    graph = model.graph
    if not any(node.op_type == "Erfc" for node in graph.node):
        return model
    nodes = []
    for node in graph.node:
        nodes.extend(_one_minus_erf(node) if node.op_type == "Erfc" else [node])
    replace_all(graph.node, nodes)
    graph.initializer.append(numpy_helper.from_array(np.float32(1.0), _ONE))
    return model


def _one_minus_erf(node: Any) -> list[Any]:
    erf = f"{node.output[0]}_erf"
    return [
        helper.make_node("Erf", [node.input[0]], [erf]),
        helper.make_node("Sub", [_ONE, erf], [node.output[0]]),
    ]
