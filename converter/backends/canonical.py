"""Canonical ONNX: the same graph gives the same bytes, whatever the exporter called its values.

tf2onnx names and orders differently in every process. Here nodes are put in the order of a depth-first walk from
the outputs, values are named by that order, initializers by a hash of their content (equal ones are merged), and
what only describes the making (doc strings, producer, value infos, unused operator sets) is dropped.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final

import onnx
from onnx import numpy_helper

from converter.backends.repeated import replace_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"
IR_VERSION: Final = 8
"""The oldest that holds operator set 17: what an onnxruntime of 2022 reads."""


def canonical_bytes(model: Any) -> bytes:
    """The model as bytes that depend on its graph alone. `model` is changed."""
    _Namer().rename(model.graph, {}, prefix="", edges=(INPUT_NAME, OUTPUT_NAME))
    model.graph.name = "edgeferry"
    _drop_description(model)
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


class _Namer:
    """Renames a graph and the graphs inside its nodes; names are unique over all of them."""

    def __init__(self) -> None:
        self._values = 0
        self._nodes = 0

    def rename(self, graph: Any, outer: Mapping[str, str], *, prefix: str, edges: tuple[str, str]) -> None:
        """Gives every value of `graph` its canonical name; `outer` maps the names that enclosing graphs lend it."""
        ordered = _walk(graph)
        names = dict(outer)
        names.update(_edge_names(graph.input, edges[0]))
        names.update(_merge_initializers(graph, prefix))
        names.update(_edge_names(graph.output, edges[1]))
        inner = {value.name for value in graph.output}
        for node in ordered:
            for value in node.output:
                if value and value not in inner:
                    names[value] = f"v{self._values}"
                    self._values += 1
        for node in ordered:
            self._rename_node(node, names)
        for value in (*graph.input, *graph.output):
            value.name = names[value.name]
            value.doc_string = ""
        replace_all(graph.node, ordered)
        _sort_initializers(graph)
        _drop_annotations(graph)

    def _rename_node(self, node: Any, names: Mapping[str, str]) -> None:
        node.input[:] = [names.get(value, value) for value in node.input]
        node.output[:] = [names.get(value, value) for value in node.output]
        node.name = f"n{self._nodes}"
        self._nodes += 1
        node.doc_string = ""
        del node.metadata_props[:]
        for attribute in node.attribute:
            attribute.doc_string = ""
            for graph in _graphs(attribute):
                prefix = f"{node.name}_{attribute.name}_"
                self.rename(graph, names, prefix=prefix, edges=(f"{prefix}in", f"{prefix}out"))
                graph.name = prefix
        replace_all(node.attribute, sorted(node.attribute, key=lambda attribute: str(attribute.name)))


def _walk(graph: Any) -> list[Any]:
    """The nodes that the outputs need, each after those it depends on, in an order that no name decides."""
    maker = {value: node for node in graph.node for value in node.output if value}
    ordered: list[Any] = []
    done: set[int] = set()
    stack = [(maker[value.name], False) for value in reversed(graph.output) if value.name in maker]
    while stack:
        node, ready = stack.pop()
        if id(node) in done:
            continue
        if ready:
            done.add(id(node))
            ordered.append(node)
            continue
        stack.append((node, True))
        needs = [maker[value] for value in _uses(node) if value in maker]
        stack.extend((each, False) for each in reversed(needs) if id(each) not in done)
    return ordered


def _uses(node: Any) -> list[str]:
    """Names that a node reads: its inputs, then what the graphs inside it read from around them."""
    captured = [
        value
        for attribute in node.attribute
        for graph in _graphs(attribute)
        for inner in (*graph.node,)
        for value in _uses(inner)
    ]
    results = [value.name for attribute in node.attribute for graph in _graphs(attribute) for value in graph.output]
    return [*node.input, *captured, *results]


def _graphs(attribute: Any) -> list[Any]:
    single = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
    return [*single, *attribute.graphs]


def _edge_names(values: Iterable[Any], name: str) -> dict[str, str]:
    return {value.name: f"{name}{index or ''}" for index, value in enumerate(values)}


def _merge_initializers(graph: Any, prefix: str) -> dict[str, str]:
    """Renames each initializer after its content and keeps one of each; returns old names to new ones."""
    names: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for tensor in graph.initializer:
        name = f"{prefix}w_{_digest(tensor)}"
        names[tensor.name] = name
        if name not in kept:
            kept[name] = numpy_helper.from_array(numpy_helper.to_array(tensor), name)
    replace_all(graph.initializer, kept.values())
    return names


def _digest(tensor: Any) -> str:
    array = numpy_helper.to_array(tensor)
    head = f"{tensor.data_type} {list(tensor.dims)} ".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()[:16]


def _sort_initializers(graph: Any) -> None:
    """Keeps the initializers that a node (or a graph inside one) reads, in the order of first use."""
    reads = [value for node in graph.node for value in _uses(node)]
    used = {name: index for index, name in reversed(list(enumerate(reads)))}
    outputs = {value.name for value in graph.output}
    kept = [tensor for tensor in graph.initializer if tensor.name in used or tensor.name in outputs]
    kept.sort(key=lambda tensor: (used.get(tensor.name, len(reads)), str(tensor.name)))
    replace_all(graph.initializer, kept)


def _drop_annotations(graph: Any) -> None:
    graph.doc_string = ""
    for field in (graph.value_info, graph.quantization_annotation, graph.metadata_props):
        del field[:]


def _drop_description(model: Any) -> None:
    used = {node.domain for node in _all_nodes(model.graph)} | {"", *(function.domain for function in model.functions)}
    kept = sorted((each for each in model.opset_import if each.domain in used), key=lambda each: str(each.domain))
    replace_all(model.opset_import, kept)
    del model.metadata_props[:]
    model.ir_version = IR_VERSION
    model.doc_string = model.domain = model.producer_version = ""
    model.producer_name = "edgeferry"
    model.model_version = 0


def _all_nodes(graph: Any) -> list[Any]:
    nodes = list(graph.node)
    for node in graph.node:
        for attribute in node.attribute:
            for inner in _graphs(attribute):
                nodes.extend(_all_nodes(inner))
    return nodes
