"""A float TFLite model in the form that litert-quantizer needs; what cannot be brought to it is refused, and why.

litert-quantizer is silent where it cannot work: float16 weights and models that are quantized already come back as they
were, without an error; models without a signature or with tensors of the same name fail with errors that name neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converter.backends.tflite.schema import (
    add_buffer,
    constant_of,
    dtype_of,
    is_constant,
    kind_of,
    name_of,
    pack,
    read_model,
)
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNATURE: Final = b"serving_default"
_INTEGERS: Final = frozenset({"INT8", "UINT8", "INT4", "INT2", "INT16", "INT32"})


def prepare(data: bytes, *, one_graph: bool) -> bytes:
    """The model with float32 weights, a name of its own for every tensor, and a signature.

    Args:
        data: a TFLite file with float32 or float16 weights.
        one_graph: whether control flow, which has graphs of its own, is refused.

    Raises:
        ModelError: it is damaged, or quantized already, or has control flow where that is refused.
    """
    model = read_model(data)
    if one_graph and len(model.subgraphs) != 1:
        raise ModelError(
            f"TFLite model: got {len(model.subgraphs)} graphs (control flow, loops or state), expected one",
            hint="unroll recurrent layers, or use a recipe that needs no calibration: dyn-int8, f16",
        )
    _modernize_codes(model)
    for graph in model.subgraphs:
        _widen_half(model, graph)
    _refuse_quantized(model)
    _name_tensors(model)
    _sign(model)
    return pack(model)


def _modernize_codes(model: Any) -> None:
    """Puts the operators' codes where files since 2020 have them; litert-quantizer takes all others for ADD."""
    for code in model.operatorCodes:
        code.builtinCode = max(code.builtinCode, code.deprecatedBuiltinCode)


def _widen_half(model: Any, graph: Any) -> None:
    """Stores float16 weights as float32 and takes out the operators that widened them at run time."""
    kept = []
    for operator in graph.operators or []:
        widened = _widened(model, graph, operator)
        if widened is None:
            kept.append(operator)
            continue
        output = graph.tensors[operator.outputs[0]]
        output.buffer = add_buffer(model, widened)
    graph.operators = kept
    for tensor in graph.tensors or []:
        if dtype_of(tensor) == "FLOAT16" and is_constant(model, tensor) and not _is_read(graph, tensor):
            tensor.buffer = 0


def _widened(model: Any, graph: Any, operator: Any) -> np.ndarray[Any, np.dtype[np.float32]] | None:
    if kind_of(model, operator) != "DEQUANTIZE":
        return None
    source = graph.tensors[operator.inputs[0]]
    values = constant_of(model, source) if dtype_of(source) == "FLOAT16" else None
    return None if values is None else values.astype(np.float32)


def _is_read(graph: Any, tensor: Any) -> bool:
    return any(
        index >= 0 and graph.tensors[index] is tensor for operator in graph.operators for index in operator.inputs
    )


def _refuse_quantized(model: Any) -> None:
    for tensor in _tensors(model):
        quantization = tensor.quantization
        scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
        if scaled and dtype_of(tensor) in _INTEGERS:
            raise ModelError(
                f"TFLite model: it is quantized already: tensor {name_of(tensor)!r} is {dtype_of(tensor)}, "
                "expected float weights",
                hint="give the float model that it was made from",
            )


def _name_tensors(model: Any) -> None:
    """Gives every tensor a name that no other has; names that are alone stay."""
    taken: set[bytes] = set()
    for number, tensor in enumerate(_tensors(model)):
        base = tensor.name or b"tensor"
        name = base
        while not name or name in taken:
            name = base + b"#" + str(number).encode()
            base = name
        taken.add(name)
        tensor.name = name


def _tensors(model: Any) -> Iterator[Any]:
    for graph in model.subgraphs:
        yield from graph.tensors or []


def _sign(model: Any) -> None:
    """Adds a signature over the first graph's inputs and outputs unless there is one."""
    if model.signatureDefs:
        return
    graph = model.subgraphs[0]
    signature = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.inputs = [_entry(b"input", position, index) for position, index in enumerate(graph.inputs)]
    signature.outputs = [_entry(b"output", position, index) for position, index in enumerate(graph.outputs)]
    signature.subgraphIndex = 0
    model.signatureDefs = [signature]


def _entry(name: bytes, position: int, index: int) -> Any:
    entry = schema.TensorMapT()
    entry.name = name if position == 0 else name + str(position).encode()
    entry.tensorIndex = int(index)
    return entry
