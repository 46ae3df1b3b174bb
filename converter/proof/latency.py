"""Latencies of several artifacts that can be compared with one another, whatever else the machine is doing.

p50_ms = compare_latency({"float": (Runtime.TFLITE, a), "int8": (Runtime.TFLITE, b)}, inputs, scratch, Limits())
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from converter.process.jobs import LATENCIES_FILE, CompareJob, Contender, Latencies
from converter.process.sandbox import run_job
from fleet_contract.codec import decode

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from converter.process.sandbox import Limits
    from fleet_contract.device_profile import Runtime

COMPARED_S: Final = 0.5
"""Time for each artifact: some fifty blocks of a quick one."""


def compare_latency(
    artifacts: Mapping[str, tuple[Runtime, Path]],
    inputs: Path,
    folder: Path,
    limits: Limits,
    *,
    duration_s: float | None = None,
) -> dict[str, float]:
    """The median latency of each artifact in milliseconds: one thread, batch 1, all in one child process in turn.

    Args:
        artifacts: what to time, by name; of one runtime or of several.
        inputs: NPY file of preprocessed rows (B, ...) that all of them eat.
        folder: for the job; made.
        limits: of the child.
        duration_s: how long to time all of them together; None takes COMPARED_S for each.

    Raises:
        ModelError: one of them cannot be loaded or run.
        MissingExtraError: a runtime is not installed.
    """
    if not artifacts:
        return {}
    job = CompareJob(
        contenders={name: Contender(runtime=kind, artifact=str(path)) for name, (kind, path) in artifacts.items()},
        inputs=str(inputs),
        duration_s=COMPARED_S * len(artifacts) if duration_s is None else duration_s,
    )
    what = f"latency of {', '.join(artifacts)}"
    run_job(job, folder, what=what, limits=limits, single_thread=True)
    return decode((folder / LATENCIES_FILE).read_bytes(), Latencies).p50_ms
