"""A prove job: run an artifact in its real runtime and write down what it did. Runs in a child process."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.jobs import PROOF_FILE, SCORES_FILE, Proof, ProveJob
from converter.runtimes import Session, open_session
from fleet_contract.codec import encode
from fleet_contract.tensors import dequantize, quantize
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray

WARM_UP_RUNS: Final = 16
MAX_TIMED_S: Final = 5.0


def prove(job: ProveJob, folder: Path) -> None:
    """Does `job`; the proof and the scores are files in `folder`.

    Raises:
        ModelError: the runtime cannot load or run the artifact.
    """
    session = open_session(job.runtime, Path(job.artifact))
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
        latency_p50_ms=float(p50_ms),
        latency_p95_ms=float(p95_ms),
        rss_mb=rss_mb,
        peak_rss_mb=peak_rss_mb,
    )
    write_file(folder / PROOF_FILE, encode(proof))


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
