"""Canonical ONNX: names, order and notes of the exporter do not show in the bytes, and the function stays the same."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from converter.backends.onnx.canonical import IR_VERSION, canonical_bytes

WEIGHTS = np.random.default_rng(1).normal(size=(4, 4)).astype(np.float32)


def exported(seed: int, *, bias: float = 0.5) -> Any:
    """A model of two branches as an exporter might write it: odd names, odd order, a dead node, a doubled weight."""
    rng = random.Random(seed)
    name = {key: f"{key}_{rng.randrange(10**6)}" for key in ("x", "y", "w", "w_again", "b", "left", "right", "dead")}
    nodes = [
        helper.make_node("MatMul", [name["x"], name["w"]], [name["left"]], name=f"a{seed}", doc_string=f"run {seed}"),
        helper.make_node("MatMul", [name["x"], name["w_again"]], [name["right"]]),
        helper.make_node("Neg", [name["right"]], [name["dead"]]),
    ]
    if seed % 2:
        nodes[0], nodes[1] = nodes[1], nodes[0]
    inner = name["left"] + "_sum"
    nodes += [
        helper.make_node("Sub", [name["left"], name["b"]], [inner]),
        helper.make_node("Add", [inner, name["right"]], [name["y"]]),
    ]
    weights = [
        numpy_helper.from_array(WEIGHTS, name["w"]),
        numpy_helper.from_array(WEIGHTS.copy(), name["w_again"]),
        numpy_helper.from_array(np.array([bias], np.float32), name["b"]),
    ]
    rng.shuffle(weights)
    graph = helper.make_graph(
        nodes,
        f"graph{seed}",
        [helper.make_tensor_value_info(name["x"], TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info(name["y"], TensorProto.FLOAT, (1, 4))],
        weights,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    rng.shuffle(opsets)
    return helper.make_model(graph, opset_imports=opsets, producer_name=f"exporter {seed}", ir_version=10)


def conditional(prefix: str) -> Any:
    """A model whose branches are graphs that read a value of the graph around them."""
    branches = []
    for operator in ("Neg", "Abs"):
        out = f"{prefix}{operator}"
        node = helper.make_node(operator, [f"{prefix}shifted"], [out], name=prefix)
        branches.append(
            helper.make_graph([node], prefix, [], [helper.make_tensor_value_info(out, TensorProto.FLOAT, (1, 4))])
        )
    nodes = [
        helper.make_node("Add", [f"{prefix}x", f"{prefix}one"], [f"{prefix}shifted"]),
        helper.make_node("ReduceSum", [f"{prefix}x"], [f"{prefix}sum"], keepdims=0),
        helper.make_node("Cast", [f"{prefix}sum"], [f"{prefix}flag"], to=TensorProto.BOOL),
        helper.make_node("If", [f"{prefix}flag"], [f"{prefix}y"], then_branch=branches[0], else_branch=branches[1]),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(f"{prefix}x", TensorProto.FLOAT, (1, 4))],
        [helper.make_tensor_value_info(f"{prefix}y", TensorProto.FLOAT, (1, 4))],
        [numpy_helper.from_array(np.ones(1, np.float32), f"{prefix}one")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(data: bytes, value: float) -> Any:
    """What onnxruntime makes of a row of `value`s."""
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: np.full((1, 4), value, np.float32)})[0]


def test_what_the_exporter_called_things_does_not_show() -> None:
    """Six exports of one graph, each with other names and another order, give one file."""
    assert len({canonical_bytes(exported(seed)) for seed in range(6)}) == 1


def test_another_weight_is_another_file() -> None:
    """Canonical does not mean blind."""
    assert canonical_bytes(exported(0)) != canonical_bytes(exported(0, bias=0.25))


def test_the_function_stays_the_same() -> None:
    """Inference gives the same before and after."""
    before = run(exported(3).SerializeToString(), 0.3)
    np.testing.assert_array_equal(run(canonical_bytes(exported(3)), 0.3), before)


def test_only_what_counts_is_kept() -> None:
    """The dead node, the doubled weight, the unused operator set and the maker's name are gone."""
    model = onnx.load_from_string(canonical_bytes(exported(2)))
    assert [node.op_type for node in model.graph.node] == ["MatMul", "Sub", "MatMul", "Add"]
    assert len(model.graph.initializer) == 2
    assert [each.domain for each in model.opset_import] == [""]
    assert (model.graph.input[0].name, model.graph.output[0].name) == ("input", "output")
    assert (model.producer_name, model.ir_version) == ("edgeferry", IR_VERSION)


def test_canonical_twice_is_canonical_once() -> None:
    """The form is a fixed point."""
    once = canonical_bytes(exported(1))
    assert canonical_bytes(onnx.load_from_string(once)) == once


@pytest.mark.parametrize(("value", "expected"), [(2.0, -3.0), (0.0, 1.0)])
def test_graphs_inside_nodes_keep_what_they_read_from_outside(value: float, expected: float) -> None:
    """Branches still see the renamed value, and their own names do not show either."""
    data = canonical_bytes(conditional("a_"))
    assert data == canonical_bytes(conditional("other_"))
    assert run(data, value).tolist() == [[expected] * 4]
