"""The sandbox: a child that crashes, hangs, eats memory or refuses is told apart, and nothing of it is left."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from converter.process.jobs import ProveJob
from converter.process.sandbox import Limits, environment, explain, run_job, run_limited
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError

QUICK = Limits(timeout_s=20.0, memory_mb=512)


def ended(code: str, folder: Path, limits: Limits = QUICK) -> str:
    """How a child that runs `code` is said to have ended."""
    outcome = run_limited([sys.executable, "-c", code], folder, limits, environment(single_thread=True))
    return explain(outcome, limits)


@pytest.mark.parametrize(("number", "name"), [(11, "SIGSEGV"), (6, "SIGABRT"), (9, "SIGKILL")])
def test_a_crash_is_named_after_its_signal(tmp_path: Path, number: int, name: str) -> None:
    """Native code that dies takes only its own process with it."""
    assert name in ended(f"import os; os.kill(os.getpid(), {number})", tmp_path)


def test_a_hang_is_stopped_in_time(tmp_path: Path) -> None:
    """The limit is held and named."""
    started = time.monotonic()
    assert "0.5 s" in ended("while True: pass", tmp_path, Limits(timeout_s=0.5))
    assert time.monotonic() - started < 5.0


def test_memory_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """A child cannot take the machine's memory; the limit is named."""
    assert "ran out of memory, limit 512 MB" in ended("x = bytearray(2**30)", tmp_path)


def test_the_last_words_of_a_child_are_quoted(tmp_path: Path) -> None:
    """An exception's line is what a person needs."""
    assert "ValueError: no such layer" in ended("raise ValueError('no such layer')", tmp_path)


def test_children_of_a_child_do_not_outlive_it(tmp_path: Path) -> None:
    """The whole process group ends with the job."""
    code = (
        "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
        "open('pid', 'w').write(str(p.pid))"
    )
    ended(code, tmp_path)
    stat = Path("/proc") / (tmp_path / "pid").read_text() / "stat"
    deadline = time.monotonic() + 5.0
    while _alive(stat) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not _alive(stat)


def _alive(stat: Path) -> bool:
    try:
        return stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_childs_environment_is_cpu_only_and_repeatable() -> None:
    """No GPU, no random hashing, and one thread where figures are taken."""
    environ = environment(single_thread=True)
    assert (environ["CUDA_VISIBLE_DEVICES"], environ["PYTHONHASHSEED"], environ["OMP_NUM_THREADS"]) == ("-1", "0", "1")
    assert environ["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize("runtime", list(Runtime))
def test_a_file_that_is_no_model_is_refused_by_its_runtime(tmp_path: Path, runtime: Runtime) -> None:
    """The refusal comes back as an error of ours that names the variant."""
    (tmp_path / "junk").write_bytes(b"not a model at all")
    job = ProveJob(runtime=runtime, artifact=str(tmp_path / "junk"), inputs="unused.npy", timed_runs=0)
    with pytest.raises(ModelError, match=r"variant junk: junk: .* cannot load it"):
        run_job(job, tmp_path / "run", what="variant junk", limits=Limits(timeout_s=60), single_thread=True)
