"""What a child process does with runtimes: prove an artifact, time several against each other, describe a runtime."""

from __future__ import annotations

import platform
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.process.jobs import (
    DESCRIBED_FILE,
    LATENCIES_FILE,
    PROOF_FILE,
    SCORES_FILE,
    CompareJob,
    Described,
    DescribeJob,
    Latencies,
    Proof,
    ProveJob,
)
from converter.process.runtimes import Session, installed_version, open_session, runtime_module
from fleet_contract.codec import encode
from fleet_contract.tensors import dequantize, quantize
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARM_UP_RUNS: Final = 16
MAX_TIMED_S: Final = 5.0
COMPARED_ROWS: Final = 16
"""Different inputs take different times; as many rows take turns."""
BLOCK_S: Final = 0.01
"""A block is short against what disturbs a busy machine, and long against what a change of artifact costs."""
MIN_BLOCKS: Final = 8


def prove(job: ProveJob, folder: Path) -> None:
    """Does `job`; the proof and the scores are files in `folder`.

    Raises:
        ModelError: the runtime cannot load or run the artifact.
        MissingExtraError: the runtime is not installed.
    """
    session = open_session(job.runtime, Path(job.artifact), package=job.package)
    inputs_B: NDArray[np.float32] = np.load(job.inputs, mmap_mode="r")
    _scores(session, inputs_B[:WARM_UP_RUNS])
    rss_mb, peak_rss_mb = _memory_mb()
    latency_ms = _latencies(session, inputs_B[0:1], job.timed_runs)
    np.save(folder / SCORES_FILE, _scores(session, inputs_B))
    p50_ms, p95_ms = np.percentile(latency_ms, (50, 95)) if latency_ms else (0.0, 0.0)
    proof = Proof(
        input=session.input,
        output=session.output,
        runtime_version=session.runtime_version,
        runtime_package=session.runtime_package,
        latency_p50_ms=float(p50_ms),
        latency_p95_ms=float(p95_ms),
        rss_mb=rss_mb,
        peak_rss_mb=peak_rss_mb,
    )
    write_file(folder / PROOF_FILE, encode(proof))


def compare(job: CompareJob, folder: Path) -> None:
    """Does `job`: a block of each contender in turn, so that what disturbs the machine disturbs all of them alike.

    Raises:
        ModelError: a runtime cannot load or run its artifact.
        MissingExtraError: a runtime is not installed.
    """
    rows_B: NDArray[np.float32] = np.load(job.inputs, mmap_mode="r")[:COMPARED_ROWS]
    stopwatches = {
        name: _Stopwatch(open_session(each.runtime, Path(each.artifact)), rows_B)
        for name, each in job.contenders.items()
    }
    turns = list(stopwatches.values())
    begun, blocks = perf_counter(), 0
    while blocks < MIN_BLOCKS or perf_counter() - begun < job.duration_s:
        first = blocks % len(turns)
        for stopwatch in turns[first:] + turns[:first]:
            stopwatch.time_block()
        blocks += 1
    p50_ms = {name: float(np.median(stopwatch.latency_ms)) for name, stopwatch in stopwatches.items()}
    write_file(folder / LATENCIES_FILE, encode(Latencies(p50_ms=p50_ms)))


class _Stopwatch:
    """Times single inferences of one session, row after row, without quantizing."""

    def __init__(self, session: Session, rows_B: NDArray[np.float32]) -> None:
        self._session = session
        self._stored = [quantize(np.ascontiguousarray(rows_B[i : i + 1]), session.input) for i in range(len(rows_B))]
        self._next = 0
        self.latency_ms: list[float] = []
        for _ in range(WARM_UP_RUNS):
            self._run()

    def time_block(self) -> None:
        """Inferences for about BLOCK_S, at least one; the one before them is not counted, it warms the caches."""
        self._run()
        begun = perf_counter()
        while True:
            started = perf_counter()
            self._run()
            ended = perf_counter()
            self.latency_ms.append((ended - started) * 1e3)
            if ended - begun >= BLOCK_S:
                return

    def _run(self) -> None:
        self._session.run(self._stored[self._next])
        self._next = (self._next + 1) % len(self._stored)


def describe(job: DescribeJob, folder: Path) -> None:
    """Does `job`: imports the package, which also shows that it and numpy go together.

    Raises:
        MissingExtraError: it is not installed.
    """
    runtime_module(job.package)
    described = Described(
        runtime_version=installed_version(job.package),
        python_version=platform.python_version(),
        numpy_version=np.__version__,
    )
    write_file(folder / DESCRIBED_FILE, encode(described))


def _scores(session: Session, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    rows = [_infer(session, inputs_B[index : index + 1]) for index in range(len(inputs_B))]
    return np.concatenate(rows)


def _infer(session: Session, input_1: NDArray[np.float32]) -> NDArray[np.float32]:
    return dequantize(session.run(quantize(np.ascontiguousarray(input_1), session.input)), session.output)


def _latencies(session: Session, input_1: NDArray[np.float32], runs: int) -> list[float]:
    """Milliseconds of single inferences, without quantizing; fewer than `runs` when they would take too long."""
    stored_1 = quantize(np.ascontiguousarray(input_1), session.input)
    latency_ms: list[float] = []
    begun = perf_counter()
    for _ in range(runs):
        started = perf_counter()
        session.run(stored_1)
        ended = perf_counter()
        latency_ms.append((ended - started) * 1e3)
        if ended - begun > MAX_TIMED_S:
            break
    return latency_ms


def _memory_mb() -> tuple[float, float]:
    """Resident memory of this process now and at its peak. Linux."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    return int(fields["VmRSS"].split()[0]) / 1024, int(fields["VmHWM"].split()[0]) / 1024
