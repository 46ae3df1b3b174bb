"""Constant tensors in canonical form: stored raw, named by their content, each once, in the order of first use."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from onnx import numpy_helper

from converter.backends.onnx.graph import reads
from converter.backends.onnx.repeated import replace_all

if TYPE_CHECKING:
    from collections.abc import Mapping


def normalize_tensor(tensor: Any, name: str) -> Any:
    """The tensor under a name, in the one encoding that onnx writes by itself."""
    return numpy_helper.from_array(numpy_helper.to_array(tensor), name)


def merge_initializers(graph: Any, prefix: str, results: Mapping[str, str]) -> dict[str, str]:
    """Renames each initializer after its content and keeps one of each; returns old names to new ones.

    Those that are outputs of the graph keep a tensor of their own, under the name that `results` gives them.
    """
    names: dict[str, str] = {}
    kept: dict[str, Any] = {}
    for tensor in graph.initializer:
        plain = normalize_tensor(tensor, "")
        name = results.get(tensor.name) or f"{prefix}{_digest(plain)}"
        names[tensor.name] = name
        plain.name = name
        kept.setdefault(name, plain)
    replace_all(graph.initializer, kept.values())
    return names


def _digest(plain: Any) -> str:
    return hashlib.sha256(plain.SerializeToString(deterministic=True)).hexdigest()[:16]


def sort_initializers(graph: Any) -> None:
    """Keeps the initializers that are outputs or that a node (or a graph inside one) reads, in the order of use."""
    used = [value for node in graph.node for value in reads(node)]
    used.extend(value.name for value in graph.output)
    first = {name: index for index, name in reversed(list(enumerate(used)))}
    kept = sorted((tensor for tensor in graph.initializer if tensor.name in first), key=lambda each: first[each.name])
    replace_all(graph.initializer, kept)
