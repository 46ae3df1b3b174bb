"""How the nodes of an ONNX graph hang together, graphs inside nodes (branches, loop bodies) included."""

from __future__ import annotations

from typing import Any

import onnx


def graphs_of(attribute: Any) -> list[Any]:
    """The graphs that an attribute holds."""
    single = [attribute.g] if attribute.type == onnx.AttributeProto.GRAPH else []
    return [*single, *attribute.graphs]


def inner_graphs(node: Any) -> list[Any]:
    """The graphs inside a node."""
    return [graph for attribute in node.attribute for graph in graphs_of(attribute)]


def all_nodes(graph: Any) -> list[Any]:
    """The nodes of a graph and of all graphs inside them."""
    return [each for node in graph.node for each in (node, *_nodes_inside(node))]


def _nodes_inside(node: Any) -> list[Any]:
    return [each for graph in inner_graphs(node) for each in all_nodes(graph)]


def needed_nodes(graph: Any) -> list[Any]:
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
        needs = [maker[value] for value in reads(node) if value in maker]
        stack.extend((each, False) for each in reversed(needs) if id(each) not in done)
    return ordered


def reads(node: Any) -> list[str]:
    """Names that a node reads: its inputs, then what the graphs inside it read, some of it from around them."""
    captured = [value for graph in inner_graphs(node) for each in needed_nodes(graph) for value in reads(each)]
    results = [value.name for graph in inner_graphs(node) for value in graph.output]
    return [*node.input, *captured, *results]
