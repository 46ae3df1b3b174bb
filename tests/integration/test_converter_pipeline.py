"""The whole conversion with the real tools: TensorFlow, onnxruntime and ai-edge-litert on a trained digits model."""

from __future__ import annotations

import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
import pytest

from converter.bundle import Bundle, load_bundle
from converter.pipeline import convert
from converter.proof.parity import agreement
from converter.report.figures import ConversionReport
from converter.scoring import score
from edgeferry.cli import run
from edgeferry.exit_codes import ExitCode
from fleet_contract.candidate import CANDIDATE_FILE, VariantGates
from fleet_contract.codec import decode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ContractError, GateError
from fleet_contract.reference_profile import ReferenceProfile
from fleet_contract.tensors import DType
from tests.fakes.converter_candidates import (
    ALL_RECIPES,
    RecordingProgress,
    candidate,
    digits,
    failed_verdict,
    write_candidate,
)

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The digits CNN through all four recipes, converted once for this file."""
    folder = tmp_path_factory.mktemp("converted")
    return convert(candidate("cnn", folder / "candidate"), folder / "release", progress=RecordingProgress(), version=7)


def report_of(bundle: Bundle) -> ConversionReport:
    """The bundle's report.json."""
    return decode((bundle.folder / "report.json").read_bytes(), ConversionReport)


@pytest.mark.slow
def test_all_four_variants_are_proven_and_published(bundle: Bundle) -> None:
    """The bundle holds every variant with evidence that meets the gates, and loads with all hashes checked."""
    manifest = load_bundle(bundle.folder).manifest
    assert tuple(variant.id for variant in manifest.variants) == ALL_RECIPES
    assert manifest.version == 7
    for variant in manifest.variants:
        found = variant.evidence
        assert found.sample_count == 400
        assert found.accuracy >= 0.85
        assert found.accuracy_drop <= 0.01
        assert found.top1_agreement >= 0.97
        assert 0 < found.latency_p50_ms <= found.latency_p95_ms
        assert 20 < found.host_rss_mb < variant.requirements.ram_mb < 250


@pytest.mark.slow
def test_float_variants_are_the_float_model_and_int8_ones_are_smaller(bundle: Bundle) -> None:
    """Float parity is at least 100 dB; int8 takes less than half the bytes."""
    variants = {variant.id: variant for variant in bundle.manifest.variants}
    for runtime in Runtime:
        whole, small = variants[f"{runtime}-f32"], variants[f"{runtime}-int8"]
        assert whole.evidence.sqnr_db >= 100
        assert whole.evidence.top1_agreement == 1.0
        assert small.blob.size_bytes < whole.blob.size_bytes / 2
    int8 = variants["tflite-int8"]
    assert (int8.input.dtype, int8.output.dtype, int8.input.quantized) == (DType.INT8, DType.INT8, True)
    installed = version("ai-edge-litert")
    assert (int8.min_runtime_version, int8.implementations) == (installed, {"ai-edge-litert": installed})


@pytest.mark.slow
def test_golden_vectors_are_raw_inputs_that_every_variant_answers_within_tolerance(bundle: Bundle) -> None:
    """What a device will check holds here, through the scoring that a champion uses."""
    manifest = bundle.manifest
    with np.load(bundle.blob(manifest.golden), allow_pickle=False) as archive:
        inputs_B, reference_BK = archive["inputs"], archive["outputs"]
    images_B, labels_B = digits()
    assert inputs_B.dtype == np.uint8
    assert len(inputs_B) >= 64
    rows = [np.flatnonzero((images_B == image).all(axis=(1, 2, 3)))[0] for image in inputs_B]
    assert set(labels_B[rows].tolist()) == set(range(10))
    for variant in manifest.variants:
        scores_BK = score(manifest, variant.id, bundle.blob(variant.blob), inputs_B)
        assert np.abs(scores_BK - reference_BK).max() <= variant.golden_tolerance
        assert agreement(scores_BK, reference_BK) >= variant.golden_agreement


@pytest.mark.slow
def test_scoring_refuses_what_the_release_does_not_know(bundle: Bundle) -> None:
    """Another variant and another shape are named, with what was expected."""
    blob = bundle.blob(bundle.manifest.variants[0].blob)
    images_B = np.zeros((2, 8, 8, 1), np.uint8)
    with pytest.raises(ContractError, match="tflite-f16"):
        score(bundle.manifest, "tflite-f16", blob, images_B)
    with pytest.raises(ContractError, match="tensor image"):
        score(bundle.manifest, "tflite-f32", blob, images_B[:, :4])


@pytest.mark.slow
def test_the_reference_profile_travels_with_the_release(bundle: Bundle) -> None:
    """It describes the held-out frames of the float model."""
    profile = decode(bundle.blob(bundle.manifest.reference_profile).read_bytes(), ReferenceProfile)
    assert profile.sample_count == 400
    assert len(profile.class_shares) == 10


@pytest.mark.slow
def test_lineage_names_trainer_and_converter_tools(bundle: Bundle) -> None:
    """What the candidate knew is kept, and what converted it is added."""
    versions = bundle.manifest.lineage.tool_versions
    assert versions["trainer.keras"] == "3.15.1"
    assert {"converter.tensorflow", "converter.onnxruntime", "converter.ai-edge-litert"} <= set(versions)


@pytest.mark.slow
def test_the_report_has_every_gate_and_the_time_of_every_stage(bundle: Bundle) -> None:
    """Nothing was refused, and a person can open the page."""
    report = report_of(bundle)
    assert all(variant.published and not variant.reason for variant in report.variants)
    assert all(gate.passed for variant in report.variants for gate in variant.gates)
    assert sum(stage.duration_s for stage in report.stages) > 1
    assert "<svg" in bundle.report.read_text(encoding="utf-8")


@pytest.mark.slow
def test_another_conversion_gives_the_same_bytes_and_refuses_what_misses_a_gate(
    bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In other processes and another order the same blobs come out; a size gate keeps the float variant back."""
    folder = candidate(
        "cnn", tmp_path / "candidate", verdict=failed_verdict(), gates=VariantGates(max_size_bytes=30_000)
    )
    out = tmp_path / "release"
    arguments = ["--recipes", "onnx-int8,tflite-f32,tflite-int8", "--override", "canary only"]
    assert run(["convert", str(folder), "--out", str(out), *arguments, "--json"]) == ExitCode.OK
    printed = json.loads(capsys.readouterr().out)
    refused = {variant["id"]: variant["reason"] for variant in printed["variants"] if not variant["published"]}
    again = load_bundle(out).manifest
    assert set(refused) == {"tflite-f32"}
    assert "size-bytes: got" in refused["tflite-f32"]
    assert "expected 30000" in refused["tflite-f32"]
    assert [variant.id for variant in again.variants] == ["onnx-int8", "tflite-int8"]
    assert again.verdict.override.endswith(": canary only")
    assert {ref.sha256 for ref in again.blobs()} < {ref.sha256 for ref in bundle.manifest.blobs()}


@pytest.mark.slow
def test_a_converter_that_crashes_is_named_and_leaves_the_tool_alive(tmp_path: Path) -> None:
    """TensorFlow's calibrator dies of a rolled LSTM; nothing is published, and a report says why."""
    progress = RecordingProgress()
    folder = candidate("lstm", tmp_path / "candidate")
    with pytest.raises(GateError, match="tflite-int8-tf: the child process died of SIGSEGV") as caught:
        convert(folder, tmp_path / "release", progress=progress, recipes=("tflite-int8-tf",))
    assert not (tmp_path / "release").exists()
    assert "SIGSEGV" in (tmp_path / "release-refused" / "report.html").read_text(encoding="utf-8")
    assert "release-refused" in caught.value.hint
    assert any("one by one" in remark for remark in progress.remarks)


def test_a_candidate_that_did_not_pass_is_refused_before_any_work(tmp_path: Path) -> None:
    """Without an override there is no conversion, and the failed gate is named."""
    folder = write_candidate(tmp_path / "candidate", b"model", verdict=failed_verdict())
    progress = RecordingProgress()
    with pytest.raises(GateError, match="min-accuracy") as caught:
        convert(folder, tmp_path / "release", progress=progress)
    assert "--override" in caught.value.hint
    assert progress.stages == ["verify candidate"]


@pytest.mark.parametrize(
    "case",
    [
        (["--recipes", "tflite-in8"], ExitCode.CONFIG, "did you mean 'tflite-int8'?"),
        (["--out", "occupied"], ExitCode.CONFLICT, "not a bundle"),
        (["--out", "there", "elsewhere"], ExitCode.NOT_FOUND, "edgeferry train"),
        (["--timeout", "soon"], ExitCode.USAGE, "timeout"),
    ],
)
def test_the_command_line_says_what_is_wrong(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: tuple[list[str], ExitCode, str],
) -> None:
    """Each mistake has its exit code and a line that helps, and stdout stays empty."""
    change, code, words = case
    monkeypatch.chdir(tmp_path)
    write_candidate(tmp_path / "candidates" / "20261123T100000Z", b"model")
    (tmp_path / "occupied").mkdir()
    (tmp_path / "occupied" / "file").touch()
    assert run(["convert", *change]) == code
    printed = capsys.readouterr()
    assert words in printed.err
    assert printed.out == ""


def test_a_tampered_candidate_is_refused_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is named with both hashes."""
    folder = write_candidate(tmp_path / "candidate", b"model")
    (folder / "model.keras").write_bytes(b"other")
    assert run(["convert", str(folder), "--out", str(tmp_path / "release")]) == ExitCode.DATA
    assert hashlib.sha256(b"other").hexdigest() in capsys.readouterr().err
    assert (folder / CANDIDATE_FILE).is_file()
