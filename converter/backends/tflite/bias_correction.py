"""Empirical bias correction: what each layer's outputs are off on average, per channel, is folded into its bias.

The graph is gone through in order, one operator at a time, so that a layer is corrected on the inputs that it gets
from the corrected layers before it. Each operator runs alone, as a model of one operator, on the stored outputs of
those before: the whole correction costs about two passes of the model. The float means are those that calibration took.
Source: the method is that of docs/measurements.md, converter; after Nagel et al. 2019, "Data-Free Quantization Through
Weight Equalization and Bias Correction", section 4.2, the empirical variant.

Legend: B rows, C channels.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.backends.tflite.interpreter import open_interpreter
from converter.backends.tflite.layers import graph_of, layer_name
from converter.backends.tflite.schema import (
    BIAS_INPUT,
    WEIGHT_KINDS,
    add_buffer,
    constant_of,
    dtype_of,
    is_constant,
    kind_of,
    pack,
    spec_of,
)
from converter.backends.translate import tool_errors
from fleet_contract.errors import ModelError
from fleet_contract.tensors import quantize

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.backends.tflite.activations import Activation

MAX_ROWS: Final = 64
"""More rows do not make the means much better."""
_INT32: Final = np.iinfo(np.int32)


def correct(
    model: Any, activations: Mapping[str, Activation], calibration_B: NDArray[np.float32], rows: NDArray[np.intp]
) -> None:
    """Corrects the biases of a quantized model in place; layers without a bias stay as they are.

    Raises:
        ModelError: the runtime cannot run an operator alone.
    """
    graph = graph_of(model)
    input_spec = spec_of(graph.tensors[graph.inputs[0]])
    values: dict[int, NDArray[np.generic]] = {
        int(graph.inputs[0]): quantize(np.ascontiguousarray(calibration_B[rows]), input_spec)[:, None]
    }
    readers = _last_readers(graph)
    for number, operator in enumerate(graph.operators):
        outputs = _run_alone(model, operator, values, len(rows))
        activation = activations.get(layer_name(graph, operator))
        if activation is not None and _correctable(model, operator):
            error_C = _mean_error(graph, operator, outputs[0], activation, rows)
            if _shift_bias(model, operator, error_C):
                outputs = _run_alone(model, operator, values, len(rows))
        values.update(zip(map(int, operator.outputs), outputs, strict=True))
        values = {index: stored_B for index, stored_B in values.items() if readers.get(index, -1) > number}


def _last_readers(graph: Any) -> dict[int, int]:
    """The number of the last operator that reads each tensor."""
    return {int(index): number for number, operator in enumerate(graph.operators) for index in operator.inputs}


def _correctable(model: Any, operator: Any) -> bool:
    """Whether the operator computes in int8 and has a bias in the file."""
    if kind_of(model, operator) not in WEIGHT_KINDS or len(operator.inputs) <= BIAS_INPUT:
        return False
    graph = graph_of(model)
    if operator.inputs[BIAS_INPUT] < 0 or dtype_of(graph.tensors[operator.outputs[0]]) != "INT8":
        return False
    bias = graph.tensors[operator.inputs[BIAS_INPUT]]
    return dtype_of(bias) == "INT32" and is_constant(model, bias)


def _mean_error(
    graph: Any, operator: Any, stored_B: NDArray[np.generic], activation: Activation, rows: NDArray[np.intp]
) -> NDArray[np.float64]:
    """By how much each channel is too high on average, in real units."""
    if activation.means_BC is None:
        raise ModelError(f"bias correction: no float means were taken of {activation.name!r}")
    quantization = graph.tensors[operator.outputs[0]].quantization
    scale, zero_point = float(quantization.scale[0]), int(quantization.zeroPoint[0])
    means_C = stored_B.reshape(-1, stored_B.shape[-1]).mean(axis=0, dtype=np.float64)
    error_C: NDArray[np.float64] = (means_C - zero_point) * scale - activation.means_BC[rows].mean(axis=0)
    return error_C


def _shift_bias(model: Any, operator: Any, error_C: NDArray[np.float64]) -> bool:
    """Takes the error off the bias; False where it is too small to change it."""
    graph = graph_of(model)
    index = int(operator.inputs[BIAS_INPUT])
    bias_C = constant_of(model, graph.tensors[index])
    if bias_C is None or bias_C.size != error_C.size:
        return False
    shift_C = np.rint(error_C / np.asarray(graph.tensors[index].quantization.scale, np.float64))
    if not shift_C.any():
        return False
    own = _own_tensor(graph, operator)
    shifted_C = np.clip(bias_C.astype(np.float64).ravel() - shift_C, _INT32.min, _INT32.max)
    own.buffer = add_buffer(model, shifted_C.astype(np.int32))
    return True


def _own_tensor(graph: Any, operator: Any) -> Any:
    """The operator's bias tensor, which it shares with no other operator any more."""
    index = int(operator.inputs[BIAS_INPUT])
    uses = sum(int(each) == index for other in graph.operators for each in other.inputs)
    if uses > 1:
        graph.tensors.append(copy(graph.tensors[index]))
        operator.inputs = [*operator.inputs[:BIAS_INPUT], len(graph.tensors) - 1, *operator.inputs[BIAS_INPUT + 1 :]]
    return graph.tensors[int(operator.inputs[BIAS_INPUT])]


def _run_alone(
    model: Any, operator: Any, values: Mapping[int, NDArray[np.generic]], row_count: int
) -> list[NDArray[np.generic]]:
    """The outputs of one operator on the stored values of its inputs, each with a row axis before the model's batch."""
    fed = [int(index) for index in dict.fromkeys(operator.inputs) if int(index) in values]
    interpreter = open_interpreter(pack(_alone(model, operator, fed)))
    inputs = [detail["index"] for detail in interpreter.get_input_details()]
    outputs = [detail["index"] for detail in interpreter.get_output_details()]
    rows: list[list[NDArray[np.generic]]] = [[] for _ in outputs]
    for row in range(row_count):
        for index, source in zip(inputs, fed, strict=True):
            interpreter.set_tensor(index, values[source][row])
        with tool_errors(f"ai-edge-litert: running a {kind_of(model, operator)} alone"):
            interpreter.invoke()
        for collected, index in zip(rows, outputs, strict=True):
            collected.append(interpreter.get_tensor(index))
    return [np.stack(collected) for collected in rows]


def _alone(model: Any, operator: Any, fed: list[int]) -> Any:
    """A model of that operator only, whose inputs are the tensors `fed`."""
    graph = graph_of(model)
    used = list(dict.fromkeys(int(index) for index in (*operator.inputs, *operator.outputs) if index >= 0))
    place = {index: number for number, index in enumerate(used)} | {-1: -1}
    alone = schema.SubGraphT()
    alone.tensors = [copy(graph.tensors[index]) for index in used]
    buffers = [schema.BufferT()]
    for tensor in alone.tensors:
        buffer = model.buffers[tensor.buffer]
        tensor.buffer = 0 if buffer.data is None else len(buffers)
        if buffer.data is not None:
            buffers.append(buffer)
    only = copy(operator)
    only.opcodeIndex = 0
    only.inputs = [place[int(index)] for index in operator.inputs]
    only.outputs = [place[int(index)] for index in operator.outputs]
    alone.operators, alone.inputs, alone.outputs = [only], [place[index] for index in fed], only.outputs
    whole = schema.ModelT()
    whole.version, whole.subgraphs, whole.buffers = model.version, [alone], buffers
    whole.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    return whole
