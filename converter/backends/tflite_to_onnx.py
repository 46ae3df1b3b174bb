"""TFLite to ONNX through tf2onnx, with its handler of fully connected layers repaired.

tf2onnx 1.17 flattens an input of another rank than 2 and on the way forgets the layer's third input, the bias
(docs/measurements.md: 28 to 40 dB against float instead of 120). Here the input is flattened before its handler looks.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.backends.onnx.canonical import OPSET
from converter.backends.translate import tool_errors
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path


def export_onnx(path: Path, exported: Path) -> Path:
    """Writes the float TFLite model at `path` as ONNX to `exported`.

    Raises:
        ModelError: tf2onnx cannot; the message names the operator.
    """
    with tool_errors("tf2onnx: from TFLite"):
        import tf2onnx

        _repair_fully_connected()
        model, _ = tf2onnx.convert.from_tflite(str(path), opset=OPSET, output_path=str(exported))
    left = sorted({str(node.op_type) for node in model.graph.node if node.op_type.startswith("TFL_")})
    if left:
        raise ModelError(f"tf2onnx: from TFLite: it has no ONNX for {', '.join(left)}")
    return exported


@cache
def _repair_fully_connected() -> None:
    from tf2onnx.handler import tfl_op
    from tf2onnx.tflite_handlers.tfl_math import TflFullyConnectedOp

    class Repaired:
        """Flattens, then leaves the layer to tf2onnx, which then sees rank 2 and keeps all three inputs."""

        @classmethod
        def to_tf(cls, graph: Any, node: Any, **options: Any) -> None:
            if node.attr["keep_num_dims"].i == 0 and graph.get_rank(node.input[0]) != 2:
                _flatten_input(graph, node)
            TflFullyConnectedOp.to_tf(graph, node, **options)

    tfl_op(["TFL_FULLY_CONNECTED"])(Repaired)


def _flatten_input(graph: Any, node: Any) -> None:
    from tf2onnx import utils

    source = node.input[0]
    width = graph.get_shape(node.input[1])[1]
    shape = graph.make_const(utils.make_name("flat_shape"), np.array([-1, width], np.int64))
    sizes = graph.get_shape(source) or [-1]
    rows = -1 if -1 in sizes else int(np.prod(sizes)) // width
    flat = graph.make_node(
        "Reshape", [source, shape.output[0]], shapes=[[rows, width]], dtypes=[graph.get_dtype(source)]
    )
    flat.skip_conversion = True
    graph.replace_input(node, source, flat.output[0], 0)
