"""`edgeferry tune` in processes of its own: pruned, interrupted, gone on with, shared by workers, applied."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fleet_contract.errors import MissingExtraError
from tests.fakes.ray_cluster import descendants, foreign_listeners, needs_ray, ray_folder, survivors
from tests.fakes.trainer_projects import write_test_project
from trainer.progress import Silent
from trainer.project import load_project
from trainer.records.tracking import list_runs
from trainer.tuning.ray import search_on_ray
from trainer.tuning.tune import Search

__all__ = ["ray_folder"]
ROOT = Path(__file__).parents[2]
COMMAND = "import typer; from trainer.cli_tune import tune; app = typer.Typer(); app.command()(tune); app()"
SPACE = """
[tune]
warmup_epochs = 1
objective = "val_accuracy"
[tune.space]
model.units = { kind = "int", low = 2, high = 16, log = true }
train.learning_rate = { kind = "float", low = 1e-5, high = 1e-1, log = true }
"""


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are kept in the test's own project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_project(folder: Path) -> Path:
    """A project with a search space and epochs of a few milliseconds."""
    write_test_project(folder, rows=90, epochs=2, trained=True)
    path = folder / "edgeferry.toml"
    path.write_text(path.read_text() + SPACE)
    return folder


def start(folder: Path, *options: str) -> subprocess.Popen[str]:
    """The command in a process group of its own, so that a test can press Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-c", COMMAND, "--project", str(folder), "--json", *options],
        cwd=ROOT,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str], *, timeout_s: float) -> tuple[str, str]:
    """What the process printed and said; one that does not end in time is killed with its children."""
    try:
        return process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        pytest.fail(f"the search did not end: {process.communicate()}")


def finish(process: subprocess.Popen[str]) -> tuple[dict[str, Any], str]:
    """The study as printed, and what was said meanwhile."""
    printed, said = end(process, timeout_s=250)
    assert process.returncode == 0, said
    view: dict[str, Any] = json.loads(printed)
    return view, said


def wait_for_trials(folder: Path, process: subprocess.Popen[str], count: int) -> None:
    """Returns when the study's database has so many finished trials."""
    database = folder / ".edgeferry" / "tune.db"
    while process.poll() is None:
        try:
            process.wait(timeout=0.2)
        except subprocess.TimeoutExpired:
            if database.exists() and _finished(database) >= count:
                return
    pytest.fail(f"the search ended early: {end(process, timeout_s=10)}")


def _finished(database: Path) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=10)) as connection:
        try:
            rows = connection.execute("SELECT count(*) FROM trials WHERE state IN ('COMPLETE', 'PRUNED')").fetchone()
        except sqlite3.OperationalError:
            return 0
    return int(rows[0])


@pytest.mark.slow
def test_an_interrupted_search_goes_on_and_its_best_values_are_applied(tmp_path: Path) -> None:
    """Ctrl-C leaves a study; two workers end it; every trial is a run; the file gets the best values."""
    folder = write_project(tmp_path)
    first = start(folder, "--trials", "50")
    wait_for_trials(folder, first, 1)
    os.killpg(first.pid, signal.SIGINT)
    said = end(first, timeout_s=60)[1]
    assert first.returncode != 0
    assert "the same command goes on with it" in said

    done = _finished(folder / ".edgeferry" / "tune.db")
    view, said = finish(start(folder, "--trials", str(done + 2), "--workers", "2", "--apply"))
    assert f"after {done} trials" in said
    finished = [trial for trial in view["trials"] if trial["state"] in {"complete", "pruned"}]
    assert len(finished) == done + 2
    assert view["best"]["value"] == max(trial["value"] for trial in finished if trial["state"] == "complete")
    settings = load_project(folder).settings
    assert settings.train.learning_rate == view["best"]["parameters"]["train.learning_rate"]
    assert settings.model.hyperparameters == {"units": view["best"]["parameters"]["model.units"]}
    runs = list_runs(load_project(folder))
    assert {run.kind for run in runs} == {"trial", "search"}
    assert list_runs(load_project(folder), trainings_only=True) == []
    names = {run.name for run in runs}
    assert {f"{view['name']} trial {trial['number']}" for trial in finished} <= names
    assert (folder / ".edgeferry" / "tune" / f"{view['name']}.html").read_text().count("<svg") >= 1


def test_without_ray_the_hint_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is started."""
    monkeypatch.setitem(sys.modules, "ray", None)
    project = load_project(write_project(tmp_path))
    with pytest.raises(MissingExtraError, match="ray") as raised:
        search_on_ray(project, Search(trials=1), workers=1, progress=Silent(), on_trial=lambda _view: None)
    assert "edgeferry[ray]" in raised.value.hint


@needs_ray
@pytest.mark.slow
def test_ray_tasks_share_the_study(tmp_path: Path, ray_folder: Path) -> None:
    """Two tasks of a cluster of this machine end the study together; it listens on the loopback and leaves nothing."""
    process = start(write_project(tmp_path), "--engine", "ray", "--workers", "2", "--trials", "3")
    outside, cluster = set[str](), set[int]()
    while process.poll() is None and not outside:
        outside |= foreign_listeners(process.pid)
        cluster |= descendants(process.pid)
        time.sleep(0.5)
    view, _ = finish(process)
    assert outside == set()
    assert survivors(cluster, timeout_s=30) == []
    assert list(ray_folder.glob("edgeferry-ray-*")) == []
    assert sum(trial["state"] in {"complete", "pruned"} for trial in view["trials"]) >= 3
