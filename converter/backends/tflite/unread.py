"""Outputs that nothing reads: litert-quantizer leaves them in float where the operator computes in int8.

XNNPACK then refuses the whole model. The first step of an unrolled LSTM has such an output: its forget gate.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from converter.backends.tflite.layers import graph_of
from converter.backends.tflite.schema import dtype_of, kind_of, tensors_at

if TYPE_CHECKING:
    from collections.abc import Iterator

SAME_SCALE_KINDS: Final = frozenset({"SPLIT", "SPLIT_V", "UNPACK"})
"""Operators all of whose outputs have the scale of their input."""


def mend(model: Any) -> None:
    """Gives the outputs in question the type and scale of the operator's other outputs."""
    graph = graph_of(model)
    read = {int(index) for operator in graph.operators for index in operator.inputs} | set(map(int, graph.outputs))
    for operator in graph.operators:
        quantized = next(_quantized(graph, operator), None)
        if kind_of(model, operator) not in SAME_SCALE_KINDS or quantized is None:
            continue
        for index in operator.outputs:
            tensor = graph.tensors[index]
            if int(index) not in read and dtype_of(tensor) == "FLOAT32":
                tensor.type, tensor.quantization = quantized.type, quantized.quantization


def _quantized(graph: Any, operator: Any) -> Iterator[Any]:
    return (tensor for tensor in tensors_at(graph, operator.outputs) if dtype_of(tensor) == "INT8")
