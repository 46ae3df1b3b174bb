"""Gates: each one stops a variant that misses it by a hair, and names measured and threshold."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from converter.proof.gates import (
    FLOAT_MIN_SQNR_DB,
    HALF_MIN_SQNR_DB,
    UNLABELLED_MIN_SQNR_DB,
    FloatFigures,
    at_least,
    at_most,
    fact,
    gate_in_words,
    judge,
    search_goal,
)
from converter.proof.parity import Agreement, Drop, Parity
from converter.recipe import parse_recipe
from fleet_contract.candidate import Confidence, VariantGates
from tests.fakes.converter_figures import accuracy, figures, parity

if TYPE_CHECKING:
    from fleet_contract.release import GateResult

BOUND = VariantGates(confidence=Confidence.BOUND)


def judged(gates: VariantGates, recipe: str = "tflite-int8", **changes: Any) -> dict[str, GateResult]:
    """The gates' results by name."""
    return {result.gate: result for result in judge(parse_recipe(recipe), gates, figures(**changes))}


def failed(gates: VariantGates, recipe: str = "tflite-int8", **changes: Any) -> set[str]:
    """Names of the gates that did not hold."""
    return {name for name, result in judged(gates, recipe, **changes).items() if not result.passed}


@pytest.mark.parametrize("recipe", ["tflite-int8", "tflite-f16", "tflite-f32"])
def test_a_variant_at_its_limits_passes(recipe: str) -> None:
    """Thresholds are inclusive."""
    limits = VariantGates(max_size_bytes=1000, max_latency_p50_ms=2.0, max_ram_mb=64.0, min_sqnr_db=130.0)
    assert failed(limits, recipe) == set()


@pytest.mark.parametrize(
    ("change", "gate"),
    [
        ({"accuracy": accuracy(drop=0.0101)}, "accuracy-drop"),
        ({"accuracy": accuracy(drop=nan)}, "accuracy-drop"),
        ({"agreement": Agreement(0.969, 0.95)}, "top1-agreement"),
        ({"accuracy": accuracy(slices=(Drop("night", 30, 0.11, 0.3),))}, "slice-drop"),
        ({"sqnr_db": 29.9}, "sqnr-db"),
    ],
)
def test_each_figure_has_its_gate(change: dict[str, Any], gate: str) -> None:
    """A figure just beyond its threshold, or one that is no number, fails exactly its gate."""
    assert failed(VariantGates(min_sqnr_db=30.0), parity=parity(**change)) == {gate}


@pytest.mark.parametrize(
    ("gates", "gate"),
    [
        (VariantGates(max_size_bytes=999), "size-bytes"),
        (VariantGates(max_latency_p50_ms=1.9), "latency-p50-ms"),
        (VariantGates(max_ram_mb=63.0), "ram-mb"),
        (VariantGates(max_accuracy_drop=nan), "accuracy-drop"),
        (VariantGates(min_top1_agreement=nan), "top1-agreement"),
        (VariantGates(max_slice_drop=nan), "slice-drop"),
        (VariantGates(min_sqnr_db=nan), "sqnr-db"),
        (VariantGates(max_latency_p50_ms=nan), "latency-p50-ms"),
        (VariantGates(max_latency_p50_ms=inf), "latency-p50-ms"),
        (VariantGates(max_ram_mb=nan), "ram-mb"),
        (VariantGates(max_size_ratio=nan), "size-ratio"),
        (VariantGates(min_latency_gain=nan), "latency-gain"),
    ],
)
def test_each_limit_holds_and_one_that_is_no_number_fails(gates: VariantGates, gate: str) -> None:
    """A limit that is too tight, or that cannot be read, stops the variant."""
    whole = FloatFigures(4000, 2.0)
    assert failed(gates, whole=whole, side_by_side_p50_ms=1.0) == {gate}


@pytest.mark.parametrize("recipe", ["tflite-f32", "tflite-f16"])
def test_a_floor_that_is_no_number_fails_float_too(recipe: str) -> None:
    """The built-in floor does not hide that the asked one cannot be read."""
    assert failed(VariantGates(min_sqnr_db=nan), recipe) == {
        "float-sqnr-db" if recipe == "tflite-f32" else "float16-sqnr-db"
    }


def test_no_limit_is_no_gate() -> None:
    """A limit of 0 is none."""
    free = judged(VariantGates(), "onnx-int8", size_bytes=10**9, latency_p50_ms=1e9)
    assert set(free) == {"top1-agreement", "accuracy-drop", "slice-drop"}
    assert all(result.passed for result in free.values())


def test_a_float_variant_must_be_the_float_model() -> None:
    """What an int8 variant may lose, a float one may not."""
    noisy = parity(sqnr_db=FLOAT_MIN_SQNR_DB - 0.1, agreement=Agreement(0.999, 0.99))
    assert failed(VariantGates(), "onnx-int8", parity=noisy) == set()
    assert failed(VariantGates(), "onnx-f32", parity=noisy) == {"float-agreement", "float-sqnr-db"}


def test_half_precision_must_be_near_the_float_model() -> None:
    """45 dB, whatever else is asked; more when more is asked."""
    assert failed(VariantGates(), "onnx-f16", parity=parity(sqnr_db=HALF_MIN_SQNR_DB)) == set()
    assert failed(VariantGates(), "onnx-f16", parity=parity(sqnr_db=HALF_MIN_SQNR_DB - 0.1)) == {"float16-sqnr-db"}
    stricter = VariantGates(min_sqnr_db=60.0)
    assert failed(stricter, "onnx-f16", parity=parity(sqnr_db=HALF_MIN_SQNR_DB)) == {"float16-sqnr-db"}


def unlabelled(sqnr_db: float) -> Parity:
    """A model without classes."""
    return parity(sqnr_db=sqnr_db, agreement=None, accuracy=None)


def test_a_model_without_classes_is_held_to_its_error() -> None:
    """No gate asks for agreement or accuracy; 25 dB are asked of int8 where nothing is set, and 100 dB of float."""
    assert set(judged(VariantGates(), parity=unlabelled(UNLABELLED_MIN_SQNR_DB))) == {"sqnr-db"}
    assert failed(VariantGates(), parity=unlabelled(UNLABELLED_MIN_SQNR_DB - 0.1)) == {"sqnr-db"}
    assert failed(VariantGates(min_sqnr_db=10.0), parity=unlabelled(12.0)) == set()
    assert failed(VariantGates(), "onnx-f32", parity=unlabelled(99.0)) == {"float-sqnr-db"}


def test_a_model_with_classes_and_no_labels_is_held_to_agreement() -> None:
    """Accuracy is not asked of rows that nobody labelled."""
    assert set(judged(VariantGates(), parity=parity(accuracy=None))) == {"top1-agreement"}


def test_the_bound_is_gated_on_request() -> None:
    """What passes by the estimate fails by the bound, when that is what the user asks for."""
    near = parity(agreement=Agreement(0.98, 0.965), accuracy=accuracy(drop=0.005))
    assert near.accuracy is not None
    near = replace(near, accuracy=replace(near.accuracy, drop=replace(near.accuracy.drop, bound=0.0101)))
    assert failed(VariantGates(), parity=near) == set()
    assert failed(BOUND, parity=near) == {"accuracy-drop", "top1-agreement"}
    assert judged(BOUND, parity=near)["top1-agreement"].measured == 0.965


def test_a_slice_too_small_to_show_anything_is_judged_by_its_estimate() -> None:
    """Below 25 rows no bound comes down to 0.1, so a small slice that lost nothing passes and a large one need not."""
    small, large = Drop("small", 24, 0.0, 0.101), Drop("large", 25, 0.04, 0.17)
    assert failed(BOUND, parity=parity(accuracy=accuracy(slices=(small,)))) == set()
    assert failed(BOUND, parity=parity(accuracy=accuracy(slices=(small, large)))) == {"slice-drop"}
    assert judged(BOUND, parity=parity(accuracy=accuracy(slices=(small, large))))["slice-drop"].measured == 0.17


def test_slices_too_small_to_judge_are_said_to_be_so() -> None:
    """Without a slice the gate holds and says why."""
    result = judged(VariantGates(), parity=parity(accuracy=accuracy(slices=())))["slice-drop"]
    assert result.passed
    assert "no slice" in result.detail


def test_what_does_not_shrink_is_refused() -> None:
    """A tool that silently did nothing gives a file as large as float."""
    assert failed(VariantGates(), size_bytes=4000, whole=FloatFigures(4000)) == {"shrinks"}
    assert failed(VariantGates(), size_bytes=3999, whole=FloatFigures(4000)) == set()
    assert failed(VariantGates(), "tflite-f32", size_bytes=4000, whole=FloatFigures(4000)) == set()


def test_relative_gates_compare_with_float() -> None:
    """A quarter of the size and a third quicker pass at their limits and fail beyond them."""
    gates = VariantGates(max_size_ratio=0.25, min_latency_gain=0.5)
    whole = FloatFigures(4000, 2.0)
    assert failed(gates, whole=whole, side_by_side_p50_ms=1.0) == set()
    assert failed(gates, whole=whole, size_bytes=1001, side_by_side_p50_ms=1.01) == {"size-ratio", "latency-gain"}
    assert failed(gates, "tflite-f32", whole=whole) == set()


def test_relative_gates_fail_where_there_is_no_float_variant() -> None:
    """What cannot be compared does not pass, and the recipe to add is named."""
    results = judged(VariantGates(max_size_ratio=0.9, min_latency_gain=0.1))
    assert not results["size-ratio"].passed
    assert "tflite-f32 was not built" in results["latency-gain"].detail


def test_a_latency_that_was_not_measured_is_no_gain() -> None:
    """NaN against NaN does not pass, and the report can hold the result."""
    result = judged(VariantGates(min_latency_gain=0.1), whole=FloatFigures(4000))["latency-gain"]
    assert not result.passed
    assert msgspec.json.decode(msgspec.json.encode(result))["measured"] == 0.0


def test_a_gate_tells_what_was_measured_and_asked() -> None:
    """The report can quote the gate as it is."""
    result = at_least("top1-agreement", 0.9, 0.97, "of 400 rows")
    assert (result.passed, result.measured, result.threshold, result.detail) == (False, 0.9, 0.97, "of 400 rows")
    assert gate_in_words(result) == "top1-agreement: got 0.9, expected 0.97 (of 400 rows)"
    assert gate_in_words(fact("runs", holds=False, detail="SIGSEGV")) == "runs: SIGSEGV"


def test_nan_never_passes() -> None:
    """A threshold cannot be met by something that is no number, nor by anything where it is none itself."""
    for value, threshold in ((nan, 0.0), (0.0, nan), (inf, -inf)):
        assert not at_least("a", value, threshold).passed
        assert not at_most("b", -value, threshold).passed


def test_the_search_aims_at_the_gates() -> None:
    """Agreement where there are classes, else the error."""
    assert search_goal(VariantGates(min_top1_agreement=0.98), classes=True) == (0.98, 0.0)
    assert search_goal(VariantGates(), classes=False) == (0.0, UNLABELLED_MIN_SQNR_DB)
    assert search_goal(VariantGates(min_sqnr_db=30.0), classes=False) == (0.0, 30.0)
