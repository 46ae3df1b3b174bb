"""Multi-worker training in two processes on loopback."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from tests.fakes.trainer_projects import write_test_project
from trainer.progress import Silent
from trainer.project import load_project
from trainer.stages import ingest, verify

ROOT = Path(__file__).parents[2]
EPOCHS = 4


def free_ports(count: int) -> list[int]:
    """Ports of loopback that nobody has just now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def start_workers(projects: list[Path], outs: list[Path]) -> list[subprocess.Popen[str]]:
    """One process for each project, all of one cluster; the first is the chief."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(len(projects))]
    workers = []
    for index, (project, out) in enumerate(zip(projects, outs, strict=True)):
        place = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        command = [sys.executable, "-m", "tests.fakes.trainer_training_child", str(project), str(out)]
        workers.append(
            subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CONFIG": json.dumps(place)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    return workers


def write_project(folder: Path) -> Path:
    """A project for several workers, its schema reviewed; the last batch does not divide among them."""
    project = write_test_project(folder, rows=1501, epochs=EPOCHS)
    verify(project, ingest(project, None, Silent()), Silent())
    text = (folder / "edgeferry.toml").read_text()
    (folder / "edgeferry.toml").write_text(text.replace("epochs =", 'strategy = "multi-worker"\nepochs ='))
    load_project(folder)
    return folder


def weights_of(path: Path) -> list[np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """The arrays that a worker ended with."""
    with np.load(path) as stored:
        return [stored[name] for name in sorted(stored.files)]


@pytest.mark.slow
def test_two_workers_end_with_equal_weights_and_only_the_chief_writes(tmp_path: Path) -> None:
    """Killed after an epoch and started again, both take the chief's checkpoint and agree to the last bit."""
    projects = [write_project(tmp_path / name) for name in ("chief", "second")]
    outs = [tmp_path / "chief.npz", tmp_path / "second.npz"]
    workers = start_workers(projects, outs)
    stdout = workers[0].stdout
    assert stdout is not None
    for line in stdout:
        if line.startswith("epoch 2 "):
            break
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
        worker.communicate(timeout=30)
    assert len(list((projects[0] / ".edgeferry" / "runs").glob("*/epoch-*"))) == 1
    assert not (projects[1] / ".edgeferry" / "runs").exists()

    workers = start_workers(projects, outs)
    words = [worker.communicate(timeout=200) for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], words
    assert all("goes on after epoch" in printed for printed, _ in words)
    chief, second = (weights_of(out) for out in outs)
    assert all(np.array_equal(one, other, equal_nan=True) for one, other in zip(chief[:-1], second[:-1], strict=True))
    assert chief[-1][-1] < chief[-1][0]
    assert not (projects[1] / ".edgeferry" / "runs").exists()
