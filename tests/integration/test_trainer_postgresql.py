"""`edgeferry tune` in several processes on one study in a real PostgreSQL."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.postgresql import PASSWORD, needs_postgresql, running_postgresql
from tests.fakes.trainer_projects import write_test_project
from trainer.project import load_project
from trainer.records.tracking import list_runs
from trainer.tuning.study import open_study

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
TRIALS = 5
QUICK = (
    "from trainer.tuning import storage, turns; storage.HEARTBEAT_S, storage.STALE_AFTER_S, turns.POLL_S = 1, 3, 0.2; "
)
COMMAND = QUICK + "from edgeferry.cli import main; main()"
SPACE = """
[tune]
pruner = "none"
[tune.space]
train.learning_rate = { kind = "float", low = 1e-5, high = 1e-1, log = true }
"""
MODEL = """
import time, pathlib, keras

def build_model(input_shape, class_count, *, units=8):
    mark = pathlib.Path(__file__).with_name("hold")
    if mark.exists():
        mark.rename(mark.with_name("held"))
        time.sleep(600)
    return keras.Sequential([
        keras.Input(input_shape), keras.layers.Flatten(), keras.layers.Dense(class_count, activation="softmax"),
    ])
"""


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """An empty database of a server that all tests here share."""
    with running_postgresql() as url:
        yield url


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are kept in the test's own projects."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_project(folder: Path, database: str) -> Path:
    """A project as it is on one of several machines: the same files, a study in the shared database."""
    write_test_project(folder, rows=90, epochs=1, trained=True)
    path = folder / "edgeferry.toml"
    path.write_text(path.read_text() + SPACE.replace("[tune]\n", f'[tune]\nstorage = "{database}"\n'))
    (folder / "model.py").write_text(MODEL)
    return folder


def start(project: Path) -> subprocess.Popen[str]:
    """The command, in a process of its own."""
    options = ["tune", "--project", str(project), "--trials", str(TRIALS), "--json"]
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> dict[str, Any]:
    """The study as printed by a search that ends well; nothing that it says shows the password."""
    printed, said = process.communicate(timeout=250)
    assert process.returncode == 0, said
    assert PASSWORD not in printed + said
    view: dict[str, Any] = json.loads(printed)
    return view


def in_state(view: dict[str, Any], *states: str) -> list[dict[str, Any]]:
    """The trials in one of the states."""
    return [trial for trial in view["trials"] if trial["state"] in states]


@needs_postgresql
@pytest.mark.slow
def test_two_machines_finish_a_study_together_though_one_that_helped_was_killed(tmp_path: Path, database: str) -> None:
    """Exactly as many trials as asked for, none proposed twice; the trial of the killed one is tried once more."""
    folders = [write_project(tmp_path / name, database) for name in ("killed", "second", "third")]
    (folders[0] / "hold").touch()
    first = start(folders[0])
    while not (folders[0] / "held").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.1)
    others = [start(folder) for folder in folders[1:]]
    first.send_signal(signal.SIGKILL)
    first.communicate()
    views = [finish(other) for other in others]
    for view in views:
        assert len(in_state(view, "complete")) == TRIALS
        assert len(in_state(view, "fail")) == 1
        assert len(view["trials"]) == TRIALS + 1
    (lost,) = in_state(views[0], "fail")
    rates = [trial["parameters"]["train.learning_rate"] for trial in in_state(views[0], "complete")]
    assert len(set(rates)) == TRIALS
    assert lost["parameters"]["train.learning_rate"] in rates
    ran = [run for folder in folders[1:] for run in list_runs(load_project(folder))]
    trials = [run.name for run in ran if " trial " in run.name and run.status == "FINISHED"]
    assert len(trials) == len(set(trials)) == TRIALS
    assert [trial.state for trial in open_study(load_project(folders[0])).view().trials].count("complete") == TRIALS
    kept = [path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".toml"]
    assert not [path for path in kept if PASSWORD.encode() in path.read_bytes()]
