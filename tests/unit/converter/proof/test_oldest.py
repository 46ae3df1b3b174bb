"""What counts as the same scores in another runtime, and what the gate says."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from converter.process.jobs import Proof
from converter.proof.compatibility import OldRuntime
from converter.proof.oldest import Subject, difference, oldest_gate
from converter.recipe import parse_recipe
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

SCORES_BK = np.eye(4, dtype=np.float32)[np.arange(64) % 4] * np.float32(0.8) + np.float32(0.05)


def subject(recipe: str = "tflite-f32", *, scale: float = 0.0, classes: bool = True) -> Subject:
    """A variant of four classes with SCORES_BK."""
    edge = TensorSpec(name="x", dtype=DType.INT8 if scale else DType.FLOAT32, shape=(4,), scale=scale)
    proof = Proof(
        input=edge,
        output=edge,
        runtime_version="2.3.0",
        runtime_package="ai-edge-litert",
        latency_p50_ms=1.0,
        latency_p95_ms=1.0,
        rss_mb=1.0,
        peak_rss_mb=1.0,
    )
    return Subject(parse_recipe(recipe), Path("unused"), SCORES_BK, proof, SCORES_BK, classes=classes)


def moved(by: float, rows: int = 1) -> NDArray[np.float32]:
    """SCORES_BK with the first score of some rows moved."""
    scores_BK = SCORES_BK.copy()
    scores_BK[:rows, 0] += np.float32(by)
    return scores_BK


SAME = {
    "the same float scores": (subject(), moved(0.0)),
    "float kernels that round otherwise": (subject(), moved(5e-5)),
    "int8 that is some steps away": (subject("tflite-int8", scale=1 / 256), moved(-9 / 256)),
    "half precision": (subject("onnx-f16"), moved(0.001)),
}


@pytest.mark.parametrize(("known", "scores_BK"), SAME.values(), ids=SAME.keys())
def test_rounding_is_no_difference(known: Subject, scores_BK: NDArray[np.float32]) -> None:
    """Kernels of another version may round otherwise."""
    assert difference(known, scores_BK) == ""


OTHER = {
    "NaN or infinity": (subject("tflite-int4", scale=1 / 256), moved(float("nan"))),
    "1 of 64 rows hold NaN or infinity": (subject(), moved(float("inf"))),
    "differs by 0.01": (subject(), moved(0.01)),
    "differs by 0.2": (subject("tflite-int8", scale=1 / 256), moved(0.2)),
    "scores of shape": (subject(), SCORES_BK[:, :2]),
    "same in 0.938 of the rows": (
        subject("tflite-int8", scale=1 / 8),
        np.concatenate([SCORES_BK[:4, ::-1], SCORES_BK[4:]]),
    ),
}


@pytest.mark.parametrize(("words", "case"), OTHER.items(), ids=OTHER.keys())
def test_other_scores_are_named(words: str, case: tuple[Subject, NDArray[np.float32]]) -> None:
    """A runtime that ends with exit code 0 and wrong scores is found out."""
    assert words in difference(*case)


def test_the_best_score_matters_only_where_scores_are_of_classes() -> None:
    """A regression has no best class."""
    scores_BK = np.concatenate([SCORES_BK[:4, ::-1], SCORES_BK[4:]])
    assert difference(subject("tflite-int8", scale=1 / 8, classes=False), scores_BK) == ""


def test_the_gate_says_where_it_ran_and_where_not() -> None:
    """What fails elsewhere fails no variant, but it is told."""
    ran = [OldRuntime("ai-edge-litert", "2.3.0", ok=True), OldRuntime("ai-edge-litert", "1.4.0", ok=True)]
    failed = OldRuntime("tflite-runtime", "2.14.0", ok=False, reason="died of SIGSEGV")
    gate = oldest_gate(parse_recipe("tflite-int8"), [*ran, failed])
    assert gate.passed
    assert gate.detail == (
        "ran in ai-edge-litert 2.3.0, ai-edge-litert 1.4.0; not in tflite-runtime 2.14.0: died of SIGSEGV"
    )


def test_the_gate_says_when_only_the_installed_runtime_was_there() -> None:
    """A claim that rests on one version says so."""
    gate = oldest_gate(parse_recipe("tflite-int8"), [OldRuntime("ai-edge-litert", "2.3.0", ok=True)])
    assert gate.passed
    assert "no other runtime environment was there" in gate.detail


def test_the_gate_fails_where_nothing_can_be_declared() -> None:
    """A newer known version in which it fails cannot be shut out."""
    known = [OldRuntime("onnxruntime", "1.32.0", ok=True), OldRuntime("onnxruntime", "1.33.0", ok=False, reason="x")]
    assert not oldest_gate(parse_recipe("onnx-int8"), known).passed
