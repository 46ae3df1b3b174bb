"""The whole pipeline with real Keras and real MLflow, on data small enough for a second."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from fleet_contract.candidate import CANDIDATE_FILE, MODEL_FILE, SAMPLES_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.errors import ConflictError, DataError, GateError, ModelError
from fleet_contract.preprocessing import apply
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_projects import LABELS, make_fleet_samples, make_images, write_test_project
from tests.fakes.trainer_work import NOW
from trainer import cli
from trainer.data.schema import infer_schema, write_schema
from trainer.data.snapshot import snapshot_sha256
from trainer.judging.validate import Champion
from trainer.pipeline import run
from trainer.progress import Silent
from trainer.records.tracking import list_runs
from trainer.sources.npz import load_npz

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.project import Project
    from trainer.records.candidate import CandidateResult

MAX_BYTES = 1024 * 1024


EPOCHS = 15


@dataclass(frozen=True)
class FirstRun:
    """A project, its first candidate, and what the run told of itself."""

    project: Project
    result: CandidateResult
    progress: RecordingProgress


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are kept in the test's own project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> FirstRun:
    """Trained once for all tests that only look at it or go on from it."""
    project = write_test_project(tmp_path_factory.mktemp("first"), epochs=EPOCHS, trained=True)
    progress = RecordingProgress()
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        return FirstRun(project, train(project, "first", progress=progress), progress)


def train(project: Project, name: str = "c", **options: Any) -> CandidateResult:
    """Runs the pipeline into the folder `name` beside the project's data."""
    return run(project, out=project.folder / name, now=NOW, progress=options.pop("progress", Silent()), **options)


def scores_of(result: CandidateResult) -> NDArray[np.float32]:
    """What the candidate's saved model says of its own held-out rows."""
    import keras

    model = keras.models.load_model(result.folder / MODEL_FILE)
    with np.load(result.folder / SAMPLES_FILE) as samples:
        inputs_B = apply(result.candidate.preprocessing, samples["holdout_inputs"])
    return np.asarray(model(inputs_B), np.float32)


def test_a_candidate_is_whole_and_tells_where_it_comes_from(first: FirstRun) -> None:
    """Every file has the hash named, the saved model reproduces its accuracy, lineage and the run agree."""
    result, progress = first.result, first.progress
    stored = decode((result.folder / CANDIDATE_FILE).read_bytes(), Candidate, max_bytes=MAX_BYTES)
    assert stored == result.candidate
    for name, sha256 in stored.files.items():
        assert hashlib.sha256((result.folder / name).read_bytes()).hexdigest() == sha256
    with np.load(result.folder / SAMPLES_FILE) as samples:
        assert samples["calibration_inputs"].shape == (210, 4, 4, 1)
        assert samples["holdout_inputs"].dtype == np.uint8
        right_B = scores_of(result).argmax(1) == samples["holdout_labels"]
    assert right_B.mean() == pytest.approx(stored.evaluation.overall.accuracy)
    assert stored.verdict.passed
    assert stored.labels == LABELS
    assert stored.lineage.data_snapshot_sha256 == snapshot_sha256(load_npz(first.project.folder / "data.npz"))
    assert progress.stages == ["ingest", "verify", "split", "train", "evaluate", "validate", "keep"]
    assert any("schema.json" in remark for remark in progress.remarks)
    recorded = {run.run_id: run for run in list_runs(first.project)}[stored.lineage.run_id]
    assert (recorded.status, recorded.passed) == ("FINISHED", True)
    assert recorded.accuracy == pytest.approx(stored.evaluation.overall.accuracy)
    assert "model-index" in (result.folder / "MODEL_CARD.md").read_text()


def test_the_same_seed_gives_the_same_model(first: FirstRun) -> None:
    """A second run over the same data answers like the first to the last bit."""
    assert np.array_equal(scores_of(first.result), scores_of(train(first.project, "again")))


def test_a_failed_verdict_keeps_the_candidate_and_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command fails with the gate's name, and both the folder and MLflow hold the verdict."""
    project = write_test_project(tmp_path, epochs=1, min_accuracy=1.0, trained=True)
    with pytest.raises(GateError, match=r"min-accuracy .*, expected 1\.0000"):
        cli.train_project(project, tmp_path / "out", as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["folder"] == str(tmp_path / "out")
    stored = decode((tmp_path / "out" / CANDIDATE_FILE).read_bytes(), Candidate, max_bytes=MAX_BYTES)
    assert not stored.verdict.passed
    (recorded,) = list_runs(project)
    assert (recorded.status, recorded.passed) == ("FINISHED", False)
    cli.runs(tmp_path, as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["passed"] is False


def test_failing_data_stop_before_training_and_leave_nothing(tmp_path: Path) -> None:
    """NaN in the inputs: no candidate, no schema, no run; only the cache of file hashes is there."""
    project = write_test_project(tmp_path)
    images_B, labels_B = make_images(60)
    inputs_B = images_B.astype(np.float32)
    inputs_B[4] = np.nan
    np.savez(tmp_path / "data.npz", inputs=inputs_B, labels=labels_B)
    with pytest.raises(DataError, match="missing: 1 of 60 rows"):
        train(project)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".edgeferry", "data.npz", "edgeferry.toml", "model.py"]
    assert [path.name for path in (tmp_path / ".edgeferry").iterdir()] == ["file-hashes.json"]


def test_a_reviewed_schema_is_enforced(tmp_path: Path) -> None:
    """Values beyond the reviewed range stop the run, although they would infer well."""
    project = write_test_project(tmp_path)
    inferred = infer_schema(load_npz(tmp_path / "data.npz"))
    write_schema(project.schema_path, msgspec.structs.replace(inferred, high=100.0))
    with pytest.raises(DataError, match=r"outside \[0, 100\]"):
        train(project)
    assert not (tmp_path / "c").exists()


def test_an_interrupted_run_leaves_no_folder_and_is_marked_killed(tmp_path: Path) -> None:
    """Ctrl-C in the last stage leaves neither a half candidate nor a run that seems to go on."""
    project = write_test_project(tmp_path, epochs=1, trained=True)

    def interrupt(stage: str) -> None:
        if stage == "keep":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(project, progress=RecordingProgress(interrupt))
    folders = {path.name for path in tmp_path.glob("*c*") if path.is_dir()}
    assert folders <= {"__pycache__"}
    assert [recorded.status for recorded in list_runs(project)] == ["KILLED"]


def test_samples_of_new_conditions_are_learned_with_the_old_kept(first: FirstRun) -> None:
    """After a retraining with inverted images the slice `fleet` is good, where the first model was bad."""
    import keras

    model = keras.models.load_model(first.result.folder / MODEL_FILE)
    steps = first.result.candidate.preprocessing
    champion = Champion(1, lambda raw_B: np.asarray(model(apply(steps, raw_B))))
    samples = make_fleet_samples(60)
    truth_B = np.asarray([LABELS.index(label) for label in samples.labels])
    before = float((champion.scores(samples.inputs_B).argmax(1) == truth_B).mean())
    second = train(first.project, "second", champion=champion, extra=samples, retrain_request_id="req-1")
    fleet = {part.name: part for part in second.candidate.evaluation.slices}["fleet"]
    assert fleet.sample_count == 18
    assert fleet.accuracy > before + 0.3
    assert second.candidate.verdict.passed
    assert second.candidate.lineage.champion_version == 1
    assert second.candidate.lineage.retrain_request_id == "req-1"
    with np.load(second.folder / SAMPLES_FILE) as kept:
        assert int((kept["holdout_slices"] == "fleet").sum()) == 18


KERAS_MODEL = """
import keras

def build_model(input_shape, class_count, units):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(LAST)])
"""
BROKEN_MODELS = {
    "a syntax error": ("def build_model(:", "expected a module that loads"),
    "no function": ("x = 1", "got no function `build_model`"),
    "another argument": ("def build_model(input_shape, class_count):\n    return None", "unexpected keyword argument"),
    "logits": (KERAS_MODEL.replace("LAST", "class_count"), "expected probabilities"),
    "another count of classes": (
        KERAS_MODEL.replace("LAST", "7, activation='softmax'"),
        "got output [2, 7] for a batch of 2, expected [2, 3]",
    ),
}


@pytest.mark.parametrize(("source", "words"), BROKEN_MODELS.values(), ids=BROKEN_MODELS)
def test_a_broken_model_file_is_refused_before_training(tmp_path: Path, source: str, words: str) -> None:
    """The error says what is wrong with the user's model."""
    from trainer.training.model_file import load_model_file

    (tmp_path / "model.py").write_text(source)
    with pytest.raises(ModelError) as caught:
        load_model_file(tmp_path / "model.py").build((4, 4, 1), 3, {"units": 4})
    assert words in caught.value.message


def test_a_taken_folder_is_refused_at_once(tmp_path: Path) -> None:
    """Nothing is trained for a folder that cannot be written."""
    project = write_test_project(tmp_path)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "file").write_text("x")
    progress = RecordingProgress()
    with pytest.raises(ConflictError):
        train(project, progress=progress)
    assert progress.stages == []


def test_no_runs_before_the_first(tmp_path: Path) -> None:
    """Listing runs makes no database."""
    project = write_test_project(tmp_path)
    assert list_runs(project) == []
    assert not project.state_folder.exists()
