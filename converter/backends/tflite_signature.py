"""Gives a TFLite file the signature by which quantizers find its input and output."""

from __future__ import annotations

from typing import Any, Final

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

SIGNATURE: Final = "serving_default"
_IDENTIFIER: Final = b"TFL3"


def with_signature(data: bytes) -> bytes:
    """The same model with the signature SIGNATURE of its first graph; unchanged where it has one."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    if any(_text(each.signatureKey) == SIGNATURE for each in model.signatureDefs or ()):
        return data
    graph = model.subgraphs[0]
    signature: Any = schema.SignatureDefT()
    signature.signatureKey = SIGNATURE
    signature.subgraphIndex = 0
    signature.inputs = [_tensor("input", index) for index in graph.inputs]
    signature.outputs = [_tensor("output", index) for index in graph.outputs]
    model.signatureDefs = [signature]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(name: str, index: int) -> Any:
    tensor: Any = schema.TensorMapT()
    tensor.name, tensor.tensorIndex = name, int(index)
    return tensor


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
