"""Every runtime that is installed keeps the same promises over the same model."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from device_agent.host.engine import Engine
from device_agent.runtimes import open_session
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import MissingExtraError, ModelError
from fleet_contract.tensors import DType
from tests.fakes.host_releases import digits, make_release, store_blob, with_variant

if TYPE_CHECKING:
    from pathlib import Path

    from device_agent.host.hosted import HostedRelease

CASES = [
    ("tflite-f32", "ai-edge-litert", "ai_edge_litert", 1e-5),
    ("tflite-int8", "ai-edge-litert", "ai_edge_litert", 0.1),
    ("tflite-f32", "tflite-runtime", "tflite_runtime", 1e-5),
    ("tflite-int8", "tflite-runtime", "tflite_runtime", 0.1),
    ("onnx-f32", "onnxruntime", "onnxruntime", 1e-5),
]


@pytest.fixture(params=CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[HostedRelease, str, float]:
    """A release, the package to open it with, and how exact it must be."""
    variant_id, implementation, module, tolerance = request.param
    if find_spec(module) is None:
        pytest.skip(f"{implementation} is not installed here")
    return make_release(tmp_path, variant_id), implementation, tolerance


def _engine(release: HostedRelease, implementation: str) -> Engine:
    path = release.blob_path(release.variant.blob)
    session = open_session(release.variant, path, threads=1, implementation=implementation)
    return Engine(release.manifest, release.variant, session)


def test_scores_are_those_of_the_reference(case: tuple[HostedRelease, str, float]) -> None:
    """Scores agree with the float model within what the variant's type allows."""
    release, implementation, tolerance = case
    scores_BK = _engine(release, implementation).infer(digits().inputs[:50]).scores
    assert scores_BK.shape == (50, 10)
    assert np.abs(scores_BK - digits().outputs[:50]).max() < tolerance


def test_a_batch_gives_what_its_rows_give_alone(case: tuple[HostedRelease, str, float]) -> None:
    """How inputs are grouped does not change a score, also across the runtime's own chunks."""
    release, implementation, _ = case
    engine = _engine(release, implementation)
    together = engine.infer(digits().inputs[:70]).scores
    alone = np.concatenate([engine.infer(digits().inputs[row : row + 1]).scores for row in range(70)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_earlier_results_are_the_callers_own(case: tuple[HostedRelease, str, float]) -> None:
    """A later run does not write over scores that were handed out."""
    release, implementation, _ = case
    engine = _engine(release, implementation)
    first = engine.infer(digits().inputs[:1]).scores
    before = first.copy()
    engine.infer(digits().inputs[5:6])
    assert np.array_equal(first, before)


@pytest.mark.parametrize("side", ["input", "output"])
def test_a_file_of_another_shape_is_refused(case: tuple[HostedRelease, str, float], side: str) -> None:
    """A file whose tensors are not the manifest's names what it has and what was expected."""
    release, implementation, _ = case
    spec = getattr(release.variant, side)
    wrong = with_variant(release, **{side: msgspec.structs.replace(spec, shape=(*spec.shape[:-1], 3))})
    with pytest.raises(ModelError, match=rf"(?s){side}.*got.*expected"):
        _engine(wrong, implementation)


def test_a_file_of_another_type_is_refused(case: tuple[HostedRelease, str, float]) -> None:
    """A quantized manifest over a float file, or the other way round, is found before anything runs."""
    release, implementation, _ = case
    spec = release.variant.input
    other = (
        msgspec.structs.replace(spec, dtype=DType.FLOAT32, scale=0.0, zero_point=0)
        if spec.quantized
        else msgspec.structs.replace(spec, dtype=DType.INT8, scale=0.1)
    )
    with pytest.raises(ModelError, match="input of"):
        _engine(with_variant(release, input=other), implementation)


def test_bytes_that_are_no_model_are_refused(case: tuple[HostedRelease, str, float], tmp_path: Path) -> None:
    """A file that the runtime cannot read is a ModelError."""
    release, implementation, _ = case
    blob = store_blob(tmp_path, b"this is no model" * 100, "broken")
    with pytest.raises(ModelError, match="loading"):
        _engine(with_variant(release, blob=blob), implementation)


def test_another_scale_is_refused(tmp_path: Path) -> None:
    """Quantization of the manifest and of the file must be the same: anything else shifts every score."""
    release = make_release(tmp_path, "tflite-int8")
    for change in ({"scale": release.variant.input.scale * 1.01}, {"zero_point": 3}):
        wrong = with_variant(release, input=msgspec.structs.replace(release.variant.input, **change))
        with pytest.raises(ModelError, match=r"scale 0\.00.*, zero point"):
            _engine(wrong, "ai-edge-litert")


def test_a_runtime_that_is_missing_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without any package for a variant's runtime the error says what to install."""
    monkeypatch.setattr("device_agent.runtimes.find_spec", lambda _: None)
    release = make_release(tmp_path, "onnx-f32")
    assert release.variant.runtime is Runtime.ONNX
    with pytest.raises(MissingExtraError) as caught:
        open_session(release.variant, tmp_path / "any", threads=1)
    assert "edgeferry[onnx]" in caught.value.hint
