"""The file that trained a model, predicted: categories, missing values and a label column, as training read them."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.release import MAX_RELEASE_BYTES

ROOT = Path(__file__).parents[2]
PROJECT = """
[project]
name = "visits"
[data]
source = "csv:rows.csv"
label = "buys"
features = ["age", "city", "member", "floor"]
categorical = ["floor"]
[preprocessing]
transforms = [
  { kind = "impute", strategy = "median", columns = ["age"] },
  { kind = "one-hot", columns = ["city", "member", "floor"] },
  { kind = "standardize", columns = ["age"] },
]
[train]
epochs = 8
batch_size = 64
learning_rate = 0.05
[resources]
priority = 0
[validate]
min_accuracy = 0.6
min_gain_over_baseline = 0.0
[convert]
recipes = ["onnx-f32"]
"""
MODEL = """
import keras

def build_model(input_shape, class_count):
    return keras.Sequential([keras.Input(input_shape), keras.layers.Dense(class_count, activation="softmax")])
"""
TRAIN = """
import sys
from pathlib import Path

import numpy as np

from edgeferry.cli import run
from fleet_contract.candidate import CANDIDATE_FILE, MODEL_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.preprocessing import apply
from trainer.project import load_project
from trainer.sources.uri import load_source

folder = Path(sys.argv[1])
assert run(["data", "schema", "--project", str(folder), "--update", "--allow-missing"]) == 0
assert run(["train", "--project", str(folder), "--out", str(folder / "candidate")]) == 0

import keras

candidate = decode((folder / "candidate" / CANDIDATE_FILE).read_bytes(), Candidate)
data = load_source(load_project(folder).settings.data, folder, known=candidate.features)
model = keras.models.load_model(folder / "candidate" / MODEL_FILE)
np.savez(folder / "own.npz", scores=model.predict(apply(candidate.preprocessing, data.inputs_B), verbose=0))
"""
"""One process for the schema, the training and the trained model's own scores: importing Keras is most of the work."""


def write_project(folder: Path) -> None:
    """Visits with ages and cities missing in the words that a CSV file has for it, and a column for nobody."""
    rng = random.Random(0)
    lines = ["note,buys,floor,age,city,member"]
    for row in range(480):
        age = ("", "NA")[row % 2] if row % 11 == 0 else f"{rng.uniform(18, 90):.3f}"
        city = "null" if row % 17 == 0 else rng.choice(["Oslo", '"S\u00e3o, Paulo"', '"5"" Bern"'])
        member, floor = rng.choice(["true", "false"]), rng.choice(["1", "2", "10"])
        buys = "yes" if member == "true" and floor != "10" else "no"
        lines.append(f"{rng.random()},{buys},{floor},{age},{city},{member}")
    (folder / "rows.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (folder / "edgeferry.toml").write_text(PROJECT)
    (folder / "model.py").write_text(MODEL)


def run(*arguments: str) -> None:
    """Runs Python to its end, which must be a good one."""
    environment = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with a candidate, its own scores, and a release of it."""
    folder = tmp_path_factory.mktemp("visits")
    write_project(folder)
    run("-c", TRAIN, str(folder))
    run("-m", "edgeferry", "convert", str(folder / "candidate"), "--out", str(folder / "release"))
    return folder


@pytest.mark.slow
def test_the_file_that_trained_a_model_is_predicted_as_it_was_learned(folder: Path) -> None:
    """Every row has the label that the trained model itself gives it, and nearly its scores."""
    out = folder / "scores.npz"
    run("-m", "edgeferry", "predict", str(folder / "release"), str(folder / "rows.csv"), "--out", str(out), "--scores")
    own_BK, found_BK = np.load(folder / "own.npz")["scores"], np.load(out)["scores"]
    assert len(own_BK) == 480
    np.testing.assert_array_equal(found_BK.argmax(axis=1), own_BK.argmax(axis=1))
    np.testing.assert_allclose(found_BK, own_BK, atol=1e-5)


@pytest.mark.slow
def test_a_training_is_held_against_a_released_version(folder: Path) -> None:
    """It is scored on the candidate's own test rows; made of the same rows and seed, it differs in nothing."""
    release, again = folder / "release", folder / "again"
    run("-m", "edgeferry", "train", "-p", str(folder), "--out", str(again), "--champion", str(release))
    candidate = decode((again / CANDIDATE_FILE).read_bytes(), Candidate, max_bytes=MAX_RELEASE_BYTES)
    measured = {gate.gate: gate.measured for gate in candidate.verdict.gates}
    assert (measured["not-worse-than-champion"], measured["max-churn"]) == (1.0, 0.0)
    assert candidate.lineage.champion_version == 1
