"""TFLite files as Python objects and back: the generated schema of ai-edge-litert, with our errors.

Tensors are numpy views into the bytes that were read; `pack` gives bytes that any TFLite runtime reads: every buffer
inside the file (none behind it, which runtimes before 2.14 cannot follow), each on a boundary of 16 bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

IDENTIFIER: Final = b"TFL3"
BUFFER_ALIGNMENT: Final = 16
WEIGHT_INPUT: Final = 1
BIAS_INPUT: Final = 2
WEIGHT_KINDS: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"})
"""Operators with inputs (activations, weights, bias), whose outputs have their channels last."""

_KINDS: Final[dict[int, str]] = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if isinstance(code, int)
}
_TYPES: Final[dict[int, str]] = {code: name for name, code in vars(schema.TensorType).items() if isinstance(code, int)}
_NUMPY: Final[dict[str, type[np.generic]]] = {
    "FLOAT32": np.float32,
    "FLOAT16": np.float16,
    "INT8": np.int8,
    "UINT8": np.uint8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
}


def read_model(data: bytes) -> Any:
    """The model in `data` as a `ModelT`; weights that lie behind the flatbuffer are brought into their buffers.

    Raises:
        ModelError: it is not a whole TFLite file.
    """
    if data[4:8] != IDENTIFIER:
        raise ModelError(f"TFLite file: got {data[4:8]!r} at byte 4, expected {IDENTIFIER!r}")
    try:
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
        for buffer in model.buffers or []:
            if buffer.offset > 1:
                buffer.data = _slice(data, buffer.offset, buffer.size)
                buffer.offset = buffer.size = 0
    except ModelError:
        raise
    except Exception as error:  # the generated reader raises whatever the bytes lead it to
        raise ModelError(f"TFLite file: it is damaged: {type(error).__name__}: {error}") from error
    if not model.subgraphs or not model.buffers or not model.operatorCodes:
        raise ModelError("TFLite file: got no graph, expected operators, tensors and buffers")
    return model


def _slice(data: bytes, offset: int, size: int) -> NDArray[np.uint8]:
    if offset + size > len(data):
        raise ModelError(f"TFLite file: weights at byte {offset + size}, but the file ends at {len(data)}")
    return np.frombuffer(data, np.uint8, count=size, offset=offset)


def pack(model: Any, builder: flatbuffers.Builder | None = None) -> bytes:
    """The model as bytes; the same model gives the same bytes."""
    used = builder or AlignedBuilder(1 << 16)
    used.Finish(model.Pack(used), file_identifier=IDENTIFIER)
    return bytes(used.Output())


class AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    """Puts byte vectors, which hold the weights, where the schema's `force_align: 16` wants them."""

    Bytes: bytearray
    head: int
    vectorNumElems: int

    def CreateNumpyVector(self, x: NDArray[np.generic]) -> int:  # noqa: N802 - the generated code calls it so
        """Writes an array; called by the generated code."""
        if x.dtype != np.uint8:
            return int(super().CreateNumpyVector(x))
        self.StartVector(1, x.size, BUFFER_ALIGNMENT)
        self.head -= x.size
        self.Bytes[self.head : self.head + x.size] = x.tobytes()
        return int(self.EndVector())


def kind_of(model: Any, operator: Any) -> str:
    """The operator's name in the schema, `CUSTOM` for custom ones."""
    code = model.operatorCodes[operator.opcodeIndex]
    return _KINDS.get(max(code.builtinCode, code.deprecatedBuiltinCode), "UNKNOWN")


def dtype_of(tensor: Any) -> str:
    """The tensor's element type in the schema's words: `FLOAT32`, `INT8`, `INT4`."""
    return _TYPES.get(tensor.type, "UNKNOWN")


def name_of(tensor: Any) -> str:
    """The tensor's name; empty when it has none."""
    return tensor.name.decode("utf-8", "replace") if tensor.name else ""


def constant_of(model: Any, tensor: Any) -> NDArray[np.generic] | None:
    """The tensor's fixed values in its shape; None where it is computed, or of a type that numpy does not have."""
    data = model.buffers[tensor.buffer].data
    dtype = _NUMPY.get(dtype_of(tensor))
    if data is None or dtype is None:
        return None
    return np.frombuffer(np.asarray(data, np.uint8).tobytes(), dtype).reshape(shape_of(tensor))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """The tensor's shape with the batch axis."""
    return () if tensor.shape is None else tuple(int(size) for size in tensor.shape)


def spec_of(tensor: Any) -> TensorSpec:
    """The tensor as an edge of the model: without its first axis, the batch."""
    quantization = tensor.quantization
    scaled = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    return TensorSpec(
        name=name_of(tensor),
        dtype=DType(np.dtype(_NUMPY[dtype_of(tensor)]).name),
        shape=shape_of(tensor)[1:],
        scale=float(quantization.scale[0]) if scaled else 0.0,
        zero_point=int(quantization.zeroPoint[0]) if scaled else 0,
    )


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the tensor's values are in the file."""
    return model.buffers[tensor.buffer].data is not None


def tensors_at(graph: Any, indices: Any) -> Iterator[Any]:
    """The tensors of an operator's inputs or outputs; those left out (index -1) are skipped."""
    for index in () if indices is None else indices:
        if index >= 0:
            yield graph.tensors[index]


def add_buffer(model: Any, values: NDArray[np.generic]) -> int:
    """Adds a buffer that holds `values`; returns its index."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1
