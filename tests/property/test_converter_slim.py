"""Slimming, for any model: the runtime sees the same, and no bytes make it fail."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.backends.tflite.interpreter import scores
from converter.backends.tflite.schema import read_model
from converter.backends.tflite.slim import slim
from tests.fakes.converter_tflite_models import edited, rows, single_dense, small_cnn

MODEL = small_cnn()


def seen_by_the_runtime(data: bytes) -> object:
    """All of a model that decides what is computed, with constants in place of the numbers of their buffers."""
    model = read_model(data)
    codes = [plain(code) for code in model.operatorCodes]
    graphs = []
    for graph in model.subgraphs:
        tensors = [
            (
                plain(each.shape),
                each.type,
                each.isVariable,
                scaled(each.quantization),
                plain(model.buffers[each.buffer]),
            )
            for each in graph.tensors
        ]
        operators = [plain(operator) for operator in graph.operators]
        graphs.append((tensors, operators, plain(graph.inputs), plain(graph.outputs)))
    return codes, graphs, plain(model.signatureDefs)


def scaled(quantization: Any) -> object:
    """Scale, zero point and axis; None where there is no scale."""
    if quantization is None or quantization.scale is None:
        return None
    return plain(quantization.scale), plain(quantization.zeroPoint), quantization.quantizedDimension


def plain(value: Any) -> object:
    """A value as nested tuples."""
    if isinstance(value, np.ndarray):
        return tuple(value.tolist())
    if isinstance(value, list):
        return tuple(plain(each) for each in value)
    return tuple((key, plain(each)) for key, each in vars(value).items()) if hasattr(value, "__dict__") else value


@st.composite
def scalings(draw: st.DrawFn) -> Any:
    """A change that gives tensors quantizations, many of them equal, and equal buffers."""
    scales = draw(st.lists(st.lists(st.sampled_from([0.5, 0.25, 1.0]), min_size=1, max_size=4), max_size=8))

    def change(model: Any) -> None:
        from ai_edge_litert import schema_py_generated as schema

        for tensor, scale in zip(model.subgraphs[0].tensors, scales, strict=False):
            tensor.quantization = schema.QuantizationParametersT()
            tensor.quantization.scale = np.array(scale, np.float32)
            tensor.quantization.zeroPoint = np.zeros(len(scale), np.int64)
            tensor.quantization.min = np.array([draw_min], np.float32)

    draw_min = draw(st.floats(-1, 1, width=32))
    return change


@given(scalings(), st.integers(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_runtime_sees_the_same_model(change: Any, seed: int) -> None:
    """Operators, tensors, scales and constants are as before, however much was shared."""
    data = edited(small_cnn(seed=seed), change)
    slimmed = slim(data)
    assert len(slimmed) < len(data)
    assert seen_by_the_runtime(slimmed) == seen_by_the_runtime(data)
    assert slim(slimmed) == slimmed


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**16))
@settings(max_examples=25, deadline=None)
def test_outputs_are_the_same_bits(inputs: int, outputs: int, seed: int) -> None:
    """For dense layers of any width, also with repeated weights."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(-2, 3, (outputs, inputs)).astype(np.float32)
    data = single_dense(weights, rng.integers(-1, 2, outputs).astype(np.float32))
    batch = rng.standard_normal((3, inputs)).astype(np.float32)
    assert scores(slim(data), batch).tobytes() == scores(data, batch).tobytes()


@given(st.binary(max_size=200))
def test_bytes_that_are_no_model_come_back(data: bytes) -> None:
    """Nothing is raised: whoever loads them says what is wrong."""
    assert slim(data) == data
    assert slim(b"\x1c\0\0\0TFL3" + data) == b"\x1c\0\0\0TFL3" + data


@given(st.integers(0, len(MODEL) - 1), st.integers(0, 255))
@settings(max_examples=150, deadline=None)
def test_a_damaged_model_makes_nothing_fail(position: int, value: int) -> None:
    """One byte is another: the result is the same bytes or a model that reads."""
    damaged = MODEL[:position] + bytes([value]) + MODEL[position + 1 :]
    result = slim(damaged)
    assert result == damaged or read_model(result)


@given(st.integers(0, len(MODEL) - 1))
@settings(max_examples=40, deadline=None)
def test_a_truncated_model_makes_nothing_fail(size: int) -> None:
    """The end of the file holds tables or weights."""
    result = slim(MODEL[:size])
    assert result == MODEL[:size] or read_model(result)


def test_the_fake_model_runs() -> None:
    """It is a model, not only bytes."""
    assert scores(MODEL, rows(2)).shape == (2, 4)
