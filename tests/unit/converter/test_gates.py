"""Gates: each one stops a variant that misses it by a hair, and names measured and threshold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from converter.gates import FLOAT_MIN_SQNR_DB, at_least, at_most, judge
from converter.parity import Parity, SliceDrop
from converter.recipe import parse_recipe
from fleet_contract.candidate import VariantGates

GOOD = Parity(
    sample_count=400,
    accuracy=0.95,
    accuracy_drop=0.0,
    top1_agreement=1.0,
    max_abs_error=0.01,
    mean_abs_error=0.001,
    sqnr_db=130.0,
    worst_slice=SliceDrop("class 3", 40, 0.0),
)
LIMITS = VariantGates(max_size_bytes=1000, max_latency_p50_ms=2.0)


def failed(parity: Parity, recipe: str = "tflite-int8", *, size_bytes: int = 1000, latency_ms: float = 2.0) -> set[str]:
    """Names of the gates that did not hold."""
    results = judge(parse_recipe(recipe), LIMITS, parity, size_bytes=size_bytes, latency_p50_ms=latency_ms)
    return {result.gate for result in results if not result.passed}


@pytest.mark.parametrize("recipe", ["tflite-int8", "tflite-f32"])
def test_a_variant_at_its_limits_passes(recipe: str) -> None:
    """Thresholds are inclusive."""
    assert failed(GOOD, recipe) == set()


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"accuracy_drop": 0.0101}, "accuracy-drop"),
        ({"top1_agreement": 0.969}, "top1-agreement"),
        ({"worst_slice": SliceDrop("night", 30, 0.11)}, "slice-drop"),
        ({"accuracy_drop": float("nan")}, "accuracy-drop"),
    ],
)
def test_each_figure_has_its_gate(change: dict[str, Any], gate: str) -> None:
    """A figure just beyond its threshold, or one that is no number, fails exactly its gate."""
    assert failed(replace(GOOD, **change)) == {gate}


def test_size_and_latency_are_limited_when_asked() -> None:
    """A limit of 0 is none; another is held."""
    assert failed(GOOD, size_bytes=1001, latency_ms=2.1) == {"size-bytes", "latency-p50-ms"}
    free = judge(parse_recipe("onnx-int8"), VariantGates(), GOOD, size_bytes=10**9, latency_p50_ms=1e9)
    assert all(result.passed for result in free)


def test_a_float_variant_must_be_the_float_model() -> None:
    """What an int8 variant may lose, a float one may not."""
    noisy = replace(GOOD, sqnr_db=FLOAT_MIN_SQNR_DB - 0.1, top1_agreement=0.999)
    assert failed(noisy, "onnx-int8") == set()
    assert failed(noisy, "onnx-f32") == {"float-agreement", "float-sqnr-db"}


def test_a_gate_tells_what_was_measured_and_asked() -> None:
    """The report can quote the gate as it is."""
    result = at_least("top1-agreement", 0.9, 0.97, "of 400 rows")
    assert (result.passed, result.measured, result.threshold, result.detail) == (False, 0.9, 0.97, "of 400 rows")


def test_nan_never_passes() -> None:
    """A threshold cannot be met by something that is no number."""
    assert not at_least("a", float("nan"), 0.0).passed
    assert not at_most("b", float("nan"), 1.0).passed


def test_slices_too_small_to_judge_are_said_to_be_so() -> None:
    """Without a slice the gate holds and says why."""
    results = judge(
        parse_recipe("tflite-int8"), LIMITS, replace(GOOD, worst_slice=None), size_bytes=1, latency_p50_ms=1
    )
    slice_gate = next(result for result in results if result.gate == "slice-drop")
    assert slice_gate.passed
    assert "no slice" in slice_gate.detail
