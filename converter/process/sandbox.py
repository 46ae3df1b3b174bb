"""Child processes with limits, so that native code that crashes, hangs or eats memory takes nothing with it.

run_job(job, folder, what="recipe tflite-int8", limits=Limits())
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from converter.process.jobs import FAILURE_FILE, JOB_FILE, REFUSED, Failure, Job
from fleet_contract import errors
from fleet_contract.codec import decode, encode
from fleet_contract.errors import EdgeferryError, ModelError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PACKAGE_ROOT: Final = Path(__file__).resolve().parents[2]
_FOREIGN_PACKAGES: Final = ("converter", "fleet_contract", "fleet_files")
"""What a child in another environment needs of ours."""
HOST_ONLY: Final = frozenset({"PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__"})
"""Variables that would lead another environment's Python back to ours."""
_TAIL_BYTES: Final = 4096
_MEMORY_SIGNS: Final = ("MemoryError", "std::bad_alloc", "Failed to allocate memory", "Unable to allocate")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may use. `memory_mb` limits its private writable memory (RLIMIT_DATA)."""

    timeout_s: float = 300.0
    memory_mb: int = 8192


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a child ended. `returncode` is negative for a signal, as in `subprocess`."""

    returncode: int
    timed_out: bool
    stderr_tail: str


def run_job(
    job: Job, folder: Path, *, what: str, limits: Limits, single_thread: bool = False, python: Path | None = None
) -> None:
    """Lets `python -m converter.process.child` do `job` in `folder`, which is made.

    Args:
        job: what to do.
        folder: where the job, its results and the child's words go.
        what: names the job in errors.
        limits: of the child.
        single_thread: keep numeric libraries to one thread, as for figures.
        python: the interpreter of another environment, which must hold numpy and msgspec and sees nothing else of this
            one than our own packages; None is this one's.

    Raises:
        ModelError: the child crashed, hung or ran out of memory; the message names `what` and the signal.
        EdgeferryError: the child refused the job; the family is the child's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / JOB_FILE, encode(job))
    command = [str(python or sys.executable), "-P", "-m", "converter.process.child", str(folder)]
    packages = _own_packages(folder) if python else _PACKAGE_ROOT
    outcome = run_limited(command, folder, limits, environment(single_thread=single_thread, packages=packages))
    if outcome.returncode == REFUSED and (folder / FAILURE_FILE).is_file():
        raise _refusal(folder, what)
    if outcome.returncode != 0 or outcome.timed_out:
        raise ModelError(f"{what}: {explain(outcome, limits)}", hint=_hint(outcome))


def _own_packages(folder: Path) -> Path:
    """A folder with our packages alone: on the path of another Python our site-packages would hide its own."""
    packages = folder / "packages"
    packages.mkdir(exist_ok=True)
    for name in _FOREIGN_PACKAGES:
        link = packages / name
        if not link.is_symlink():
            link.symlink_to(_PACKAGE_ROOT / name, target_is_directory=True)
    return packages


def environment(*, single_thread: bool, packages: Path = _PACKAGE_ROOT) -> Mapping[str, str]:
    """The child's environment: CPU only, quiet, the same arithmetic on every run; `packages` holds our own code."""
    quiet = {
        "CUDA_VISIBLE_DEVICES": "-1",
        "KERAS_BACKEND": "tensorflow",
        "PYTHONHASHSEED": "0",
        "PYTHONNOUSERSITE": "1",
        "PYTHONPATH": str(packages),
        "PYTHONWARNINGS": "ignore",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_ENABLE_ONEDNN_OPTS": "0",
    }
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"} if single_thread else {}
    inherited = {
        name: value for name, value in os.environ.items() if packages == _PACKAGE_ROOT or name not in HOST_ONLY
    }
    return {**inherited, **quiet, **threads}


def run_limited(command: Sequence[str], folder: Path, limits: Limits, env: Mapping[str, str]) -> Outcome:
    """Runs `command` in `folder` to its end or its limit; its whole process group is gone afterwards."""
    log = folder / "stderr.txt"
    with log.open("wb") as stderr:
        child = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=stderr,
            stderr=stderr,
            start_new_session=True,
        )
        timed_out = False
        try:
            _limit(child.pid, limits)
            child.wait(limits.timeout_s)
        except subprocess.TimeoutExpired:
            timed_out = True
        finally:
            _end_group(child)
    return Outcome(returncode=child.returncode, timed_out=timed_out, stderr_tail=_tail(log))


def explain(outcome: Outcome, limits: Limits) -> str:
    """How the child ended, in words."""
    if outcome.timed_out:
        return f"did not finish within {limits.timeout_s:g} s and was stopped"
    if any(sign in outcome.stderr_tail for sign in _MEMORY_SIGNS):
        return f"ran out of memory, limit {limits.memory_mb} MB"
    lines = outcome.stderr_tail.strip().splitlines()
    if outcome.returncode < 0:
        return f"the child process died of {_signal_name(-outcome.returncode)}"
    return f"the child process failed: {lines[-1] if lines else f'exit code {outcome.returncode}'}"


def _limit(pid: int, limits: Limits) -> None:
    limit_bytes = limits.memory_mb * 1024 * 1024
    with suppress(ProcessLookupError):  # it has ended already
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit_bytes, limit_bytes))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def _end_group(child: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # the usual case: it ended by itself and left nobody behind
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _tail(log: Path) -> str:
    return log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _hint(outcome: Outcome) -> str:
    if outcome.timed_out or outcome.returncode < 0:
        return "the tool itself is fine; leave this recipe out, or change the layer that it cannot take"
    return ""


def _refusal(folder: Path, what: str) -> EdgeferryError:
    failure = decode((folder / FAILURE_FILE).read_bytes(), Failure)
    family = getattr(errors, failure.family, ModelError)
    error: EdgeferryError = family(f"{what}: {failure.message}", hint=failure.hint)
    return error
