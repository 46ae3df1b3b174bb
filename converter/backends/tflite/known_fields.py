"""Whether a TFLite file holds only fields that our schema knows: what it does not know would be lost in rewriting."""

from __future__ import annotations

import struct
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from ai_edge_litert import schema_py_generated as schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNIONS: Final = {"BuiltinOptions": schema.BuiltinOptions, "BuiltinOptions2": schema.BuiltinOptions2}


def only_known_fields(data: bytes) -> bool:
    """Whether every table of the file is of a type in our schema and has no more fields than it there.

    A file that is damaged holds fields of no kind, and the answer is no.
    """
    try:
        return all(
            name is not None and _field_count(table) <= _known_count(name)
            for name, table in _tables(schema.Model.GetRootAs(data, 0))
        )
    except (struct.error, IndexError, ValueError, TypeError, OverflowError):
        return False


def _tables(model: Any) -> Iterator[tuple[str | None, Any]]:
    yield "Model", _table(model)
    for field in ("OperatorCodes", "Buffers", "Metadata"):
        for table in _each(model, field):
            yield field.removesuffix("s"), _table(table)
    for signature in _each(model, "SignatureDefs"):
        yield "SignatureDef", _table(signature)
        for field in ("Inputs", "Outputs"):
            for table in _each(signature, field):
                yield "TensorMap", _table(table)
    for graph in _each(model, "Subgraphs"):
        yield "SubGraph", _table(graph)
        yield from _graph_tables(graph)


def _graph_tables(graph: Any) -> Iterator[tuple[str | None, Any]]:
    for tensor in _each(graph, "Tensors"):
        yield "Tensor", _table(tensor)
        if tensor.Quantization() is not None:
            yield "QuantizationParameters", _table(tensor.Quantization())
    for operator in _each(graph, "Operators"):
        yield "Operator", _table(operator)
        for field, union in _UNIONS.items():
            options = getattr(operator, field)()
            if options is not None:
                yield _member(union, getattr(operator, f"{field}Type")()), options


def _table(reader: Any) -> Any:
    return reader._tab  # noqa: SLF001 - the generated readers have no other way to their table


def _each(table: Any, field: str) -> Iterator[Any]:
    for index in range(getattr(table, f"{field}Length")()):
        yield getattr(table, field)(index)


def _member(union: type, value: int) -> str | None:
    names = [name for name, each in vars(union).items() if each == value and not name.startswith("_")]
    return names[0] if names and hasattr(schema, f"{names[0]}Start") else None


def _field_count(table: Any) -> int:
    """How many fields the writer's schema had, from the size of the vtable: two words, then one for each field."""
    distance = struct.unpack_from("<i", table.Bytes, table.Pos)[0]
    size_bytes: int = struct.unpack_from("<H", table.Bytes, table.Pos - distance)[0]
    return size_bytes // 2 - 2


@cache
def _known_count(name: str) -> int:
    """How many fields our schema has, from what its generated writer asks for."""

    class Recorder:
        count = 0

        def StartObject(self, numfields: int) -> None:  # noqa: N802 - the generated code calls it so
            self.count = numfields

    recorder = Recorder()
    getattr(schema, f"{name}Start")(recorder)
    return recorder.count
