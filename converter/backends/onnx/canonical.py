"""Canonical ONNX: the same graph gives the same bytes, whatever the exporter called its values.

tf2onnx names and orders differently in every process. Here nodes are put in the order of a depth-first walk from
the outputs, values are named by that order, initializers by a hash of their content (equal ones are merged), and
what only describes the making (doc strings, producer, value infos, unused operator sets) is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx

from converter.backends.onnx.canonical_tensors import merge_initializers, normalize_tensor, sort_initializers
from converter.backends.onnx.graph import all_nodes, graphs_of, needed_nodes
from converter.backends.onnx.repeated import replace_all

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

INPUT_NAME: Final = "input"
OUTPUT_NAME: Final = "output"
OPSET: Final = 17
"""The newest that tf2onnx writes well and that runtimes of 2022 (onnxruntime 1.12) already read."""
IR_VERSION: Final = 8
"""The oldest that holds operator set 17: what an onnxruntime of 2022 reads."""


def canonical_bytes(model: Any) -> bytes:
    """The model as bytes that depend on its graph alone. `model` is changed.

    Raises:
        onnx.checker.ValidationError, onnx.shape_inference.InferenceError: the model is not valid ONNX.
    """
    _sort_attributes(model.graph)
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
        self._axes: dict[str, str] = {}

    def rename(self, graph: Any, outer: Mapping[str, str], *, prefix: str, edges: tuple[str, str]) -> None:
        """Gives every value of `graph` its canonical name; `outer` maps the names that enclosing graphs lend it."""
        ordered = needed_nodes(graph)
        made = [value for node in ordered for value in node.output if value]
        own = {*made, *(value.name for value in (*graph.input, *graph.initializer))}
        results = _edge_names((value for value in graph.output if value.name in own), edges[1])
        weights = merge_initializers(graph, f"{prefix}w_", results)
        names = {**outer, **_edge_names(graph.input, edges[0]), **weights, **results}
        for value in made:
            if value not in results:
                names[value] = f"v{self._values}"
                self._values += 1
        for node in ordered:
            self._rename_node(node, names)
        self._rename_edges((*graph.input, *graph.output), names)
        replace_all(graph.node, ordered)
        sort_initializers(graph)
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
            if attribute.type == onnx.AttributeProto.TENSOR:
                attribute.t.CopyFrom(normalize_tensor(attribute.t, ""))
            for graph in graphs_of(attribute):
                prefix = f"{node.name}_{attribute.name}_"
                self.rename(graph, names, prefix=prefix, edges=(f"{prefix}in", f"{prefix}out"))
                graph.name = prefix

    def _rename_edges(self, values: Iterable[Any], names: Mapping[str, str]) -> None:
        for value in values:
            value.name = names[value.name]
            value.doc_string = ""
            for axis in value.type.tensor_type.shape.dim:
                if axis.dim_param:
                    axis.dim_param = self._axes.setdefault(axis.dim_param, f"axis{len(self._axes)}")


def _edge_names(values: Iterable[Any], name: str) -> dict[str, str]:
    return {value.name: f"{name}{index or ''}" for index, value in enumerate(values)}


def _sort_attributes(graph: Any) -> None:
    """Puts attributes in the order of their names, so that the walk meets the graphs inside nodes in one order."""
    for node in graph.node:
        replace_all(node.attribute, sorted(node.attribute, key=lambda attribute: str(attribute.name)))
        for attribute in node.attribute:
            for inner in graphs_of(attribute):
                _sort_attributes(inner)


def _drop_annotations(graph: Any) -> None:
    graph.doc_string = ""
    for field in (graph.value_info, graph.quantization_annotation, graph.metadata_props):
        del field[:]


def _drop_description(model: Any) -> None:
    used = {node.domain for node in all_nodes(model.graph)} | {"", *(function.domain for function in model.functions)}
    kept = sorted((each for each in model.opset_import if each.domain in used), key=lambda each: str(each.domain))
    replace_all(model.opset_import, kept)
    for field in (model.metadata_props, model.training_info):
        del field[:]
    model.ir_version = IR_VERSION
    model.doc_string = model.domain = model.producer_version = ""
    model.producer_name = "edgeferry"
    model.model_version = 0
