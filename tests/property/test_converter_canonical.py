"""Canonical ONNX over random graphs: names and order never show, and what is computed stays the same."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from converter.backends.onnx.canonical import canonical_bytes

UNARY = ("Relu", "Neg", "Abs", "Sigmoid", "Tanh")
BINARY = ("Add", "Sub", "Mul", "Max")
SHAPE = (1, 4)
ROW = np.array([[0.5, -1.0, 2.0, 0.0]], np.float32)


@dataclass(frozen=True)
class Step:
    """One operator over earlier values; `weight` seeds a weight for MatMul and for branches that hold a constant."""

    kind: str
    left: int
    right: int
    weight: int


@st.composite
def graphs(draw: st.DrawFn) -> list[Step]:
    """Up to eight operators, each over the input or any value before it."""
    kinds = st.sampled_from([*UNARY, *BINARY, "MatMul", "If"])
    return [
        Step(draw(kinds), draw(st.integers(0, index)), draw(st.integers(0, index)), draw(st.integers(0, 2)))
        for index in range(draw(st.integers(1, 8)))
    ]


class Exporter:
    """Writes the same graph in another way for every seed: names, order, notes, doubled weights, dead nodes."""

    def __init__(self, steps: list[Step], seed: int) -> None:
        self._rng = random.Random(seed)
        self._steps = steps
        self._weights: dict[str, Any] = {}
        self._values = [self._name("x")]
        self._nodes: list[tuple[Any, set[str]]] = []

    def model(self) -> Any:
        """The graph as a model whose output is the sum of the last value and the input."""
        for step in self._steps:
            self._values.append(self._name(step.kind))
            self._add(self._node(step), self._reads(step))
        self._add(self._make("Neg", [self._values[-1]], self._name("dead")), {self._values[-1]})
        result = self._name("y")
        self._add(self._make("Add", [self._values[-1], self._values[0]], result), {self._values[-1], self._values[0]})
        weights = list(self._weights.values())
        self._rng.shuffle(weights)
        edges = [helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE) for name in (self._values[0], result)]
        graph = helper.make_graph(self._ordered(), self._name("graph"), edges[:1], edges[1:], weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)

    def _node(self, step: Step) -> Any:
        left, right, out = self._values[step.left], self._values[step.right], self._values[-1]
        if step.kind == "MatMul":
            return self._make("MatMul", [left, self._weight(step.weight)], out)
        if step.kind == "If":
            return self._branches(step, left, right, out)
        return self._make(step.kind, [left] if step.kind in UNARY else [left, right], out)

    def _branches(self, step: Step, left: str, right: str, out: str) -> Any:
        """If the first element of a weight is positive: a branch over outer values, or one that holds a constant."""
        flag = self._name("flag")
        values = np.array(step.weight > 0)
        self._weights[flag] = numpy_helper.from_array(values, flag)
        then, otherwise = self._name("then"), self._name("else")
        middle, constant = self._name("middle"), self._name("constant")
        inner = [self._make("Add", [left, right], middle), self._make("Abs", [middle], then)]
        made = numpy_helper.from_array(weight_values(step.weight)[:1], constant)
        graphs_of = {
            "then_branch": helper.make_graph(inner, self._name("g"), [], [info(then)]),
            "else_branch": helper.make_graph(
                [self._make("Mul", [left, constant], otherwise)], self._name("g"), [], [info(otherwise)], [made]
            ),
        }
        node = self._make("If", [flag], out)
        for key in self._rng.sample(sorted(graphs_of), 2):
            node.attribute.append(helper.make_attribute(key, graphs_of[key]))
        return node

    def _reads(self, step: Step) -> set[str]:
        return {self._values[step.left], self._values[step.right]}

    def _weight(self, seed: int) -> str:
        """A new tensor for every use, though equal ones are equal."""
        name = self._name("w")
        self._weights[name] = numpy_helper.from_array(weight_values(seed), name)
        return name

    def _make(self, kind: str, inputs: list[str], output: str) -> Any:
        return helper.make_node(kind, inputs, [output], name=self._name("node"), doc_string=self._name("doc"))

    def _add(self, node: Any, reads: set[str]) -> None:
        self._nodes.append((node, reads))

    def _ordered(self) -> list[Any]:
        """Any order in which each node comes after what it reads."""
        known, waiting, ordered = {self._values[0]}, list(self._nodes), []
        while waiting:
            node, reads = self._rng.choice([each for each in waiting if each[1] <= known])
            waiting.remove((node, reads))
            ordered.append(node)
            known.update(node.output)
        return ordered

    def _name(self, stem: str) -> str:
        return f"{stem}/{self._rng.randrange(10**9)}"


def weight_values(seed: int) -> Any:
    """A 4 by 4 weight."""
    return np.random.default_rng(seed).normal(size=(4, 4)).astype(np.float32)


def info(name: str) -> Any:
    """A value of the one shape that there is."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, SHAPE)


def run(data: bytes) -> Any:
    """What onnxruntime makes of the row, node by node."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: ROW})[0]


@settings(max_examples=60, deadline=None)
@given(graphs(), st.integers(0, 2**32), st.integers(0, 2**32))
def test_names_and_order_never_show(steps: list[Step], one: int, other: int) -> None:
    """Two exports of any graph give the same bytes."""
    assert canonical_bytes(Exporter(steps, one).model()) == canonical_bytes(Exporter(steps, other).model())


@settings(max_examples=40, deadline=None)
@given(graphs(), st.integers(0, 2**32))
def test_the_canonical_model_computes_the_same(steps: list[Step], seed: int) -> None:
    """To the last bit, and it is a fixed point."""
    exported = Exporter(steps, seed).model()
    before = run(exported.SerializeToString())
    data = canonical_bytes(exported)
    np.testing.assert_array_equal(run(data), before)
    assert canonical_bytes(onnx.load_from_string(data)) == data
