"""Types and shapes of a model's values as onnxruntime works them out, its own operators (com.microsoft) included."""

from __future__ import annotations

from typing import Any, Final

import onnx
from onnx import TensorProto, helper

from converter.backends.onnx.session import open_onnx

_TYPES: Final = {
    "tensor(float)": TensorProto.FLOAT,
    "tensor(float16)": TensorProto.FLOAT16,
    "tensor(double)": TensorProto.DOUBLE,
    "tensor(int64)": TensorProto.INT64,
    "tensor(int32)": TensorProto.INT32,
    "tensor(int8)": TensorProto.INT8,
    "tensor(uint8)": TensorProto.UINT8,
    "tensor(bool)": TensorProto.BOOL,
}


def note_shapes(model: Any) -> None:
    """Notes in `model` the type and shape of each output and of every tensor that a node of its main graph makes.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    outputs = {value.name for value in probe.graph.output}
    made = [name for node in probe.graph.node for name in node.output if name and name not in outputs]
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in made)
    found = {value.name: value for value in open_onnx(probe.SerializeToString(), optimized=False).get_outputs()}
    for value in model.graph.output:
        value.CopyFrom(_noted(found[value.name]))
    del model.graph.value_info[:]
    model.graph.value_info.extend(_noted(found[name]) for name in made if found[name].type in _TYPES)


def _noted(value: Any) -> Any:
    shape = [size if isinstance(size, int) else None for size in value.shape or []]
    return helper.make_tensor_value_info(value.name, _TYPES.get(value.type, TensorProto.UNDEFINED), shape)
