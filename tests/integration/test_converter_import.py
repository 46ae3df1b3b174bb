"""Foreign models of every kind through the real tools: each passes its gates or is refused with a reason."""

from __future__ import annotations

from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest

from converter.bundle import load_bundle
from converter.process.sandbox import Limits
from converter.sources.importer import ImportRequest, import_model
from converter.stopwatch import Stopwatch
from fleet_contract.errors import DataError, GateError, ModelError
from tests.fakes.converter_candidates import RecordingProgress
from tests.fakes.converter_foreign import DIGITS, digit_rows, foreign, refusals

if TYPE_CHECKING:
    from pathlib import Path

    from converter.bundle import Bundle

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
REFUSED = {
    "int8.tflite": "quantized already",
    "truncated.tflite": "not a valid Flatbuffer|cannot load|died of",
    "random.onnx": "expected the content of a model of kind onnx",
    "two_inputs.onnx": r"got 2 inputs \('image', 'other'\), expected one",
    "custom.onnx": "Frobnicate",
    "nan.onnx": "scores of 80 held-out rows are not finite",
}
NOT_OPENED = {
    "truncated.keras": "no whole ZIP archive",
    "any_size.keras": "got shape [?, ?, ?, 1], expected fixed sizes",
    "two_outputs.keras": "got 2 outputs",
    "lambda.h5": "a Lambda layer, which carries code",
    "reading": "operators that reach beyond the model (ReadFile)",
}


def imported(
    name: str, folder: Path, *, recipes: tuple[str, ...], progress: RecordingProgress | None = None, labels: bool = True
) -> Bundle:
    """The model of that name imported with the digits as sample."""
    request = ImportRequest(
        model=foreign(name),
        samples=digit_rows(folder / "rows.npz", labels=labels),
        now=NOW,
        label_names=DIGITS if labels else (),
    )
    watch = Stopwatch(progress or RecordingProgress(), perf_counter)
    return import_model(request, folder / "release", watch=watch, recipes=recipes, limits=Limits(timeout_s=120))


def check_float(bundle: Bundle, *ids: str) -> None:
    """All of those float variants are there, and are the model."""
    manifest = load_bundle(bundle.folder).manifest
    assert tuple(variant.id for variant in manifest.variants) == ids
    assert all(variant.evidence.sqnr_db >= 100 for variant in manifest.variants)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["keras2.h5", "saved_model"])
def test_models_of_keras_2_and_saved_models_are_imported(name: str, tmp_path: Path) -> None:
    """Through tf-keras and through the serving signature, to both runtimes, with a batch of 1."""
    bundle = imported(name, tmp_path, recipes=("tflite-f32", "onnx-f32"))
    check_float(bundle, "tflite-f32", "onnx-f32")
    assert bundle.manifest.labels == DIGITS
    assert bundle.manifest.evaluation.overall.sample_count == 80


@pytest.mark.slow
def test_a_tflite_file_becomes_onnx_with_all_its_biases(tmp_path: Path) -> None:
    """tf2onnx would drop the bias of a fully connected layer; the parity of the float form shows that it did not."""
    bundle = imported("signed.tflite", tmp_path, recipes=("tflite-f32", "onnx-f32"))
    check_float(bundle, "tflite-f32", "onnx-f32")


def test_a_tflite_file_without_a_signature_is_imported(tmp_path: Path) -> None:
    """It gets one; its numbers stay. The manifest names both files by their hashes."""
    bundle = imported("unsigned.tflite", tmp_path, recipes=("tflite-f32",))
    check_float(bundle, "tflite-f32")
    manifest = bundle.manifest
    assert manifest.model == "unsigned"
    assert manifest.evaluation.labelled
    assert manifest.lineage.data_source == "import:rows.npz"
    assert str(manifest.lineage.hyperparameters["import.model_sha256"]).isalnum()


def test_an_onnx_file_with_an_open_batch_is_imported(tmp_path: Path) -> None:
    """Its batch becomes 1 and operator set 21 becomes 17; TFLite is refused with what to do instead."""
    bundle = imported("dynamic.onnx", tmp_path, recipes=("onnx-f32", "tflite-f32"))
    check_float(bundle, "onnx-f32")
    assert bundle.manifest.inputs[0].shape == (8, 8, 1)
    assert "ONNX to TFLite is not supported" in (bundle.folder / "report.json").read_text(encoding="utf-8")


def test_without_labels_nothing_is_claimed_of_accuracy(tmp_path: Path) -> None:
    """The manifest says that there were none, and has no labels for numbers that are no classes."""
    progress = RecordingProgress()
    bundle = imported("dynamic.onnx", tmp_path, recipes=("onnx-f32",), progress=progress, labels=False)
    manifest = bundle.manifest
    assert (manifest.labels, manifest.evaluation.labelled) == ((), False)
    assert manifest.evaluation.overall.sample_count == 0
    assert any("no --labels" in remark for remark in progress.remarks)


@pytest.mark.slow
def test_an_autoencoder_is_judged_by_its_error(tmp_path: Path) -> None:
    """No gate speaks of classes; int8 must reach 25 dB."""
    bundle = imported("autoencoder.keras", tmp_path, recipes=("tflite-f32", "tflite-int8"), labels=False)
    assert tuple(variant.id for variant in bundle.manifest.variants) == ("tflite-f32", "tflite-int8")
    assert bundle.manifest.outputs[0].shape == (64,)
    assert bundle.manifest.variants[1].evidence.sqnr_db >= 25
    assert "top1-agreement" not in (bundle.folder / "report.json").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_rolled_lstm_passes_in_float(tmp_path: Path) -> None:
    """What TensorFlow's calibrator dies of needs no calibration in float."""
    check_float(imported("lstm.keras", tmp_path, recipes=("tflite-f32",)), "tflite-f32")


@pytest.mark.parametrize("name", REFUSED)
def test_models_that_cannot_be_carried_are_refused_with_a_reason(name: str, tmp_path: Path) -> None:
    """Damaged, hostile or of another form: an error that names the cause, and nothing is written."""
    with pytest.raises(ModelError, match=REFUSED[name]):
        imported(name, tmp_path, recipes=("tflite-f32", "onnx-f32"))
    assert [path.name for path in tmp_path.iterdir()] == ["rows.npz"]


@pytest.mark.slow
def test_models_of_tensorflow_that_cannot_be_carried_are_not_opened() -> None:
    """Damaged, of open size, of two outputs, or with code or reach of their own: each is named for what it is."""
    found = refusals(*NOT_OPENED)
    assert {name: words for name, words in NOT_OPENED.items() if words not in found[name]} == {}


def test_a_form_that_no_recipe_can_make_publishes_nothing(tmp_path: Path) -> None:
    """Only TFLite asked of an ONNX model: no variant, no bundle, a report of why."""
    with pytest.raises(GateError, match="ONNX to TFLite is not supported"):
        imported("dynamic.onnx", tmp_path, recipes=("tflite-f32",))
    assert not (tmp_path / "release").exists()


def test_samples_of_another_shape_are_refused(tmp_path: Path) -> None:
    """The model's own shape is in the message."""
    rows = digit_rows(tmp_path / "rows.npz", inputs=np.ones((160, 8, 8, 3), np.float32))
    request = ImportRequest(model=foreign("dynamic.onnx"), samples=rows, now=NOW)
    with pytest.raises(DataError, match=r"rows of shape \[8, 8, 3\], expected \[8, 8, 1\]"):
        import_model(request, tmp_path / "release", watch=Stopwatch(RecordingProgress(), perf_counter))
