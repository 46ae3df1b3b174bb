"""Multi-worker training in two processes on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from edgeferry.exit_codes import ExitCode
from tests.fakes.trainer_projects import write_test_project
from trainer.progress import Silent
from trainer.project import load_project
from trainer.stages import ingest, verify

ROOT = Path(__file__).parents[2]
EPOCHS = 3


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def start_workers(projects: list[Path]) -> list[subprocess.Popen[str]]:
    """`edgeferry train` in a process for each project, all of one cluster; the first is the chief."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(projects))]
    workers = []
    for index, project in enumerate(projects):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        options = ["train", "--project", str(project), "--out", str(project / "candidate")]
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "edgeferry", *options],
                cwd=ROOT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "NO_COLOR": "1", "TF_CONFIG": json.dumps(place)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return workers


def write_project(folder: Path) -> Path:
    """A project for several workers, its schema reviewed; the last batch does not divide among them."""
    project = write_test_project(folder, rows=1501, epochs=EPOCHS, trained=True)
    verify(project, ingest(project, None, Silent()), Silent())
    text = (folder / "edgeferry.toml").read_text()
    (folder / "edgeferry.toml").write_text(text.replace("epochs =", 'strategy = "multi-worker"\nepochs ='))
    load_project(folder)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Everything in the folder but what Python caches."""
    found = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_training_which_all_go_on_with_and_only_the_chief_writes(tmp_path: Path) -> None:
    """The chief says what happened and leaves its checkpoint; started again, both take it, and there is a candidate."""
    projects = [write_project(tmp_path / name) for name in ("chief", "second")]
    before = files_of(projects[1])
    workers = start_workers(projects)
    while not list((projects[0] / ".edgeferry").glob("runs/*/epoch-*")):
        assert [worker.poll() for worker in workers] == [None, None], [worker.communicate() for worker in workers]
        time.sleep(0.05)
    workers[1].send_signal(signal.SIGKILL)
    _, said = workers[0].communicate(timeout=200)
    workers[1].communicate()
    assert workers[0].returncode == ExitCode.UNREACHABLE
    assert "a worker of 2 went away" in said
    assert not (projects[0] / "candidate").exists()
    assert len(list((projects[0] / ".edgeferry").glob("runs/*/epoch-*"))) == 1

    workers = start_workers(projects)
    words = [worker.communicate(timeout=200) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], words
    assert all("goes on after epoch" in said for _, said in words)
    assert "this worker's part is done" in words[1][1]
    assert files_of(projects[1]) == before
    assert (projects[0] / "candidate" / "model.keras").is_file()
