"""Trainings in processes of their own, killed by SIGKILL while they train, and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.trainer_projects import write_test_project
from trainer.project import load_project
from trainer.records.tracking import list_runs

ROOT = Path(__file__).parents[2]
EPOCHS = 5
MODEL = """
import keras

def build_model(input_shape, class_count, *, units=16):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input(input_shape), layers.Flatten(), layers.Dense(units), layers.BatchNormalization(),
        layers.ReLU(), layers.Dropout(0.4), layers.Dense(class_count, activation="softmax"),
    ])
    optimizer = keras.optimizers.AdamW(keras.optimizers.schedules.CosineDecay(0.02, 300), weight_decay=0.01)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
"""


def start(*projects: Path) -> subprocess.Popen[str]:
    """Trainings in a process of its own, whose words the test reads."""
    command = [sys.executable, "-m", "tests.fakes.trainer_training_child", *map(str, projects)]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(process: subprocess.Popen[str]) -> str:
    """All words of a training that ends well."""
    words, errors = process.communicate(timeout=200)
    assert process.returncode == 0, errors
    return words


def kill_after(process: subprocess.Popen[str], epoch: int) -> list[str]:
    """Kills the process while the epoch after `epoch` is under way; returns its words."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.strip())
        if line.startswith(f"epoch {epoch} "):
            process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    assert process.returncode == -signal.SIGKILL
    return lines


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are kept in the test's own projects."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_project(folder: Path) -> Path:
    """A project with state of every kind: weights, moving averages, a random generator, moments, a schedule's place."""
    write_test_project(folder, rows=1500, epochs=EPOCHS, trained=True)
    (folder / "model.py").write_text(MODEL)
    text = (folder / "edgeferry.toml").read_text()
    (folder / "edgeferry.toml").write_text(
        text.replace("batch_size = 32\nlearning_rate = 0.02", 'batch_size = 8\nclass_weight = "balanced"')
    )
    return folder


def arrays_of(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """What the child wrote."""
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


@pytest.mark.slow
def test_a_training_killed_twice_ends_as_one_run_with_the_weights_of_one_never_killed(tmp_path: Path) -> None:
    """Each start goes on after the last whole epoch, and every weight and generator is equal to the last bit.

    In the record a killed run is marked so by whoever looks next, and is the same run again once it goes on.
    """
    killed, whole = write_project(tmp_path / "killed"), write_project(tmp_path / "whole")
    first = kill_after(start(killed), 1)
    assert not any("goes on" in line for line in first)
    (record,) = list_runs(load_project(killed))
    assert record.status == "KILLED"
    second = kill_after(start(killed), 3)
    begun = next(line for line in second if "goes on" in line)
    done = int(begun.split("after epoch ")[1].split()[0])
    assert done in {1, 2}
    assert next(line for line in second if line.startswith("epoch")).startswith(f"epoch {done + 1} ")
    last = finish(start(killed, whole))
    assert last.count("goes on after epoch") == 1
    expected, got = arrays_of(tmp_path / "whole.npz"), arrays_of(tmp_path / "killed.npz")
    assert expected.keys() == got.keys()
    for name, array in expected.items():
        assert np.array_equal(array, got[name]), name
    assert list((killed / ".edgeferry" / "runs").iterdir()) == []
    assert len(list((whole / ".edgeferry" / "runs").glob("*/epoch-*"))) == 1
    assert [(run.run_id, run.status) for run in list_runs(load_project(killed))] == [(record.run_id, "FINISHED")]
