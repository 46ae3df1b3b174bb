"""Lossless slimming of a TFLite file: what no runtime reads goes, what is equal is stored once.

Rules:
1. A runtime computes the same: operators, options, order, tensors, shapes, types, quantization and constants stay.
2. Names of inputs, outputs and everything that a signature speaks of stay; other tensors lose theirs.
3. Ranges (`min`, `max`) that quantizing left behind, the description and the converter's notes on itself go; all other
   metadata stay, with the buffers that they speak of.
4. Equal buffers become one. Equal vectors, strings and tables become one, to which many tables point; FlatBuffers
   allows that. Per channel, TFLite stores eight bytes of zero for the zero point of a weight and of a bias: these are
   most of what is saved.
5. What is not understood (a newer schema's fields, sparse or variant tensors, weights outside the file, attached
   archives) is not touched: the input is returned as it is. So is an input that would not become smaller.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.backends.tflite.known_fields import only_known_fields
from converter.backends.tflite.schema import AlignedBuilder, pack, read_model
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOTES: Final = frozenset({b"CONVERSION_METADATA", b"min_runtime_version"})
"""Metadata in which converters write about themselves."""
_INITIAL_BYTES: Final = 1 << 16
_MAX_SIZE_BYTES: Final = 2**31 - 2**20
"""Larger files keep their weights outside the flatbuffer, whose offsets have 31 bits."""


def slim(data: bytes) -> bytes:
    """The same model in fewer bytes, or `data` itself where that cannot be had or is not safe."""
    if len(data) > _MAX_SIZE_BYTES or zipfile.is_zipfile(BytesIO(data)):
        return data
    try:
        model = read_model(data)
    except ModelError:
        return data
    if not (only_known_fields(data) and _understood(model)):
        return data
    slimmed = pack_slim(model)
    return slimmed if len(slimmed) < len(data) else data


def pack_slim(model: Any) -> bytes:
    """A model of our own making, packed as `slim` would; `model` is used up."""
    _drop_unread(model)
    _merge_buffers(model)
    _share_tables(model)
    return pack(model, _SharingBuilder(_INITIAL_BYTES))


def _understood(model: Any) -> bool:
    tensors = [tensor for graph in model.subgraphs for tensor in graph.tensors or []]
    operators = [operator for graph in model.subgraphs for operator in graph.operators or []]
    return (
        not (model.externalBuffers or model.externalBufferGroups)
        and model.buffers[0].data is None
        and not any(buffer.offset or buffer.size for buffer in model.buffers)
        and not any(operator.largeCustomOptionsOffset for operator in operators)
        and all(0 <= index < len(model.buffers) for index in _buffer_indices(model))
        and all(_plain(tensor) for tensor in tensors)
    )


def _plain(tensor: Any) -> bool:
    quantization = tensor.quantization
    return (
        tensor.sparsity is None
        and not tensor.variantTensors
        and not tensor.externalBuffer
        and (quantization is None or quantization.details is None)
    )


def _buffer_indices(model: Any) -> Iterable[int]:
    for graph in model.subgraphs:
        for tensor in graph.tensors or []:
            yield tensor.buffer
    for entry in model.metadata or []:
        yield entry.buffer
    if model.metadataBuffer is not None:
        yield from (int(index) for index in model.metadataBuffer)


def _drop_unread(model: Any) -> None:
    model.description = None
    model.metadata = [entry for entry in model.metadata or [] if entry.name not in _NOTES] or None
    for index, graph in enumerate(model.subgraphs):
        named = _named(model, index, graph)
        for number, tensor in enumerate(graph.tensors or []):
            if number not in named:
                tensor.name = None
            tensor.quantization = _needed(tensor.quantization)


def _named(model: Any, index: int, graph: Any) -> set[int]:
    """Numbers of the tensors whose names are part of the model's face."""
    named = {int(number) for numbers in (graph.inputs, graph.outputs) if numbers is not None for number in numbers}
    for signature in model.signatureDefs or []:
        if signature.subgraphIndex == index:
            named |= {each.tensorIndex for each in (*(signature.inputs or []), *(signature.outputs or []))}
    return named


def _needed(quantization: Any) -> Any:
    """The quantization without the ranges that led to it; None where it says nothing."""
    if quantization is None or quantization.scale is None or len(quantization.scale) == 0:
        return None
    quantization.min = quantization.max = None
    return quantization


def _merge_buffers(model: Any) -> None:
    """Stores equal buffers once and drops those that nothing speaks of; buffer 0 stands for no data."""
    used = set(_buffer_indices(model))
    kept, place, moved = [model.buffers[0]], {}, {0: 0}
    for index in sorted(used - {0}):
        buffer = model.buffers[index]
        if buffer.data is None:
            moved[index] = 0
            continue
        content = np.asarray(buffer.data, np.uint8).tobytes()
        if content not in place:
            place[content] = len(kept)
            kept.append(buffer)
        moved[index] = place[content]
    model.buffers = kept
    for graph in model.subgraphs:
        for tensor in graph.tensors or []:
            tensor.buffer = moved[tensor.buffer]
    for entry in model.metadata or []:
        entry.buffer = moved[entry.buffer]
    if model.metadataBuffer is not None:
        model.metadataBuffer = [moved[int(index)] for index in model.metadataBuffer]


def _share_tables(model: Any) -> None:
    """Makes equal quantizations and equal operator options one table each."""
    tables: dict[object, _Once] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors or []:
            if tensor.quantization is not None:
                tensor.quantization = _once(tensor.quantization, tables)
        for operator in graph.operators or []:
            if operator.builtinOptions is not None:
                operator.builtinOptions = _once(operator.builtinOptions, tables)


def _once(table: Any, tables: dict[object, _Once]) -> _Once:
    return tables.setdefault(_content(table), _Once(table))


def _content(value: Any) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.tobytes()
    if isinstance(value, list):
        return tuple(_content(each) for each in value)
    if hasattr(value, "__dict__"):
        return type(value).__name__, tuple((name, _content(each)) for name, each in sorted(vars(value).items()))
    return type(value).__name__, repr(value)


class _Once:
    """A table that is written the first time and pointed to from then on."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self._offset: int | None = None

    def Pack(self, builder: AlignedBuilder) -> int:  # noqa: N802 - the generated code calls it so
        """Writes the table unless it is written; called by the generated code."""
        if self._offset is None:
            self._offset = int(self._table.Pack(builder))
        return self._offset


class _SharingBuilder(AlignedBuilder):
    """Points to the vector or string that was written before where the next one has the same bytes.

    A vector of offsets is not shared: its bytes depend on where it stands. Offsets count from the end of the file, so
    those given out stay true while the file grows; taking back the last vector is moving `head`.
    """

    def __init__(self, initial_bytes: int) -> None:
        super().__init__(initial_bytes)
        self._written: dict[tuple[int, int, bytes], int] = {}
        self._before = 0
        self._form = (1, 1)
        self._has_offsets = False

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:  # noqa: N802 - the generated code calls it so
        """Begins a vector; called by the generated code."""
        self._begin(elemSize, alignment)
        return int(super().StartVector(elemSize, numElems, alignment))

    def CreateString(  # noqa: N802 - the generated code calls it so
        self, s: bytes | str, encoding: str = "utf-8", errors: str = "strict"
    ) -> int:
        """Writes a string; called by the generated code."""
        self._begin(1, 0)
        return int(super().CreateString(s, encoding, errors))

    def PrependUOffsetTRelative(self, off: int) -> None:  # noqa: N802 - the generated code calls it so
        """Writes an offset; called by the generated code."""
        self._has_offsets = True
        super().PrependUOffsetTRelative(off)

    def EndVector(self, numElems: int | None = None) -> int:  # noqa: N802 - the generated code calls it so
        """Ends a vector or string, or takes it back and returns the earlier one."""
        element_bytes, alignment = self._form
        size_bytes = 4 + element_bytes * self.vectorNumElems
        offset = int(super().EndVector(numElems))
        if self._has_offsets:
            return offset
        content = bytes(self.Bytes[self.head : self.head + size_bytes])
        earlier = self._written.setdefault((element_bytes, alignment, content), offset)
        if earlier != offset:
            self.head = len(self.Bytes) - self._before
        return earlier

    def _begin(self, element_bytes: int, alignment: int) -> None:
        self._before = self.Offset()
        self._form = (element_bytes, alignment)
        self._has_offsets = False
