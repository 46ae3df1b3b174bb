"""The limited child of a preflight: `python -m device_agent.preflight_child --report FD`, its request on stdin.

It tells each stage before it begins it, so that the parent knows what a crash interrupted, and at last a verdict.
"""

from __future__ import annotations

import argparse
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np
from msgspec import Struct

from device_agent.host.golden import load_golden, replay
from device_agent.host.hosted import HostedRelease
from device_agent.host.loading import load_engine, load_profile
from device_agent.preflight_result import PreflightCode
from fleet_contract.desired import PreflightPolicy
from fleet_contract.errors import ContractError, EdgeferryError
from fleet_contract.release import ReleaseManifest, check_release

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_agent.host.engine import Engine
    from device_agent.host.golden import GoldenVectors

MEASURE_S: Final = 1.0
MIN_RUNS: Final = 30
MAX_RUNS: Final = 300
_ALARM_SLACK_S: Final = 10.0
_KIB_PER_MIB: Final = 1024


class PreflightRequest(Struct, frozen=True):
    """What to prove, and within which limits."""

    manifest: ReleaseManifest
    release_sha256: str
    variant_id: str
    blobs: str
    policy: PreflightPolicy
    threads: int
    max_rss_mb: float
    """0 for none."""


class Stage(Struct, frozen=True, tag=True):
    """The next step begins; a failure from now on has this code."""

    code: PreflightCode


class Measured(Struct, frozen=True, tag=True):
    """Figures so far; NaN (None on the way) for what was not reached."""

    latency_p95_ms: float | None = None
    rss_mb: float | None = None
    max_abs_error: float | None = None
    agreement: float | None = None


class Verdict(Struct, frozen=True, tag=True):
    """The last word; an empty `code` means passed."""

    code: PreflightCode
    detail: str


Word = Stage | Measured | Verdict


def prove(request: PreflightRequest, say: Callable[[Word], None], elapsed_s: Callable[[], float]) -> Verdict:
    """Loads, checks, replays and measures; the verdict on the first thing that does not hold."""
    stage = PreflightCode.LOAD
    try:
        say(Stage(stage := PreflightCode.CONTRACT))
        check_release(request.manifest)
        release = HostedRelease(request.manifest, request.release_sha256, request.variant_id, Path(request.blobs))
        load_profile(release)
        say(Stage(stage := PreflightCode.LOAD))
        engine = load_engine(release, threads=request.threads)
        say(Stage(stage := PreflightCode.GOLDEN))
        golden = load_golden(release.blob_path(release.manifest.golden), release.manifest)
        outcome = replay(engine, golden)
        say(Measured(max_abs_error=outcome.max_abs_error, agreement=outcome.agreement))
        if failure := outcome.failure(release.variant):
            return Verdict(stage, failure)
        say(Stage(stage := PreflightCode.LATENCY))
        return _budgets(engine, golden, request, say, elapsed_s)
    except ContractError as error:
        return Verdict(PreflightCode.CONTRACT, error.message)
    except EdgeferryError as error:
        return Verdict(stage, error.message)
    except MemoryError:
        return Verdict(PreflightCode.MEMORY, "the process had no more memory")


def _budgets(
    engine: Engine,
    golden: GoldenVectors,
    request: PreflightRequest,
    say: Callable[[Word], None],
    elapsed_s: Callable[[], float],
) -> Verdict:
    policy = request.policy
    latency_p95_ms = sustained_p95_ms(engine, golden, elapsed_s)
    rss_mb = peak_rss_mb()
    say(Measured(latency_p95_ms=latency_p95_ms, rss_mb=rss_mb))
    if policy.max_latency_p95_ms and not latency_p95_ms <= policy.max_latency_p95_ms:
        return Verdict(
            PreflightCode.LATENCY,
            f"95th percentile of latency: got {latency_p95_ms:.3f} ms, "
            f"expected at most {policy.max_latency_p95_ms:g} ms",
        )
    if request.max_rss_mb and not rss_mb <= request.max_rss_mb:
        return Verdict(
            PreflightCode.MEMORY, f"resident memory: got {rss_mb:.1f} MB, expected at most {request.max_rss_mb:g} MB"
        )
    return Verdict(PreflightCode.PASSED, "")


def peak_rss_mb(status: Path = Path("/proc/self/status")) -> float:
    """The most memory that this program had resident; NaN, which no budget lets pass, where the system does not tell.

    Not `ru_maxrss`: a child inherits that of the process that forked it, even over exec.
    """
    try:
        lines = status.read_text().splitlines()
    except OSError:
        return math.nan
    found = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(found[0]) / _KIB_PER_MIB if found else math.nan


def sustained_p95_ms(engine: Engine, golden: GoldenVectors, elapsed_s: Callable[[], float]) -> float:
    """95th percentile over single inferences for MEASURE_S, at least MIN_RUNS and at most MAX_RUNS of them."""
    latencies_ms: list[float] = []
    began_s = elapsed_s()
    while len(latencies_ms) < MAX_RUNS and (len(latencies_ms) < MIN_RUNS or elapsed_s() - began_s < MEASURE_S):
        row = len(latencies_ms) % len(golden.inputs)
        started_s = elapsed_s()
        engine.infer(golden.inputs[row : row + 1])
        latencies_ms.append((elapsed_s() - started_s) * 1000.0)
    return float(np.quantile(latencies_ms, 0.95))


def limit_resources(time_limit_s: float) -> None:
    """No core file, nothing written to disk, no more processor time than the time limit allows, and an alarm.

    The alarm ends a child whose parent is gone.
    """
    cpu_s = int(time_limit_s * (os.cpu_count() or 1)) + 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    signal.setitimer(signal.ITIMER_REAL, time_limit_s + _ALARM_SLACK_S)


def main() -> int:
    """Reads one request, says how it goes, and ends."""
    parser = argparse.ArgumentParser(prog="python -m device_agent.preflight_child", description="Proves one variant.")
    parser.add_argument("--report", type=int, required=True, help="inherited pipe for what is found")
    arguments = parser.parse_args()
    request = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=PreflightRequest)
    limit_resources(request.policy.time_limit_s)
    with os.fdopen(arguments.report, "wb", buffering=0) as report:

        def say(word: Word) -> None:
            report.write(msgspec.json.encode(word) + b"\n")

        say(prove(request, say, time.perf_counter))
    return 0


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    os._exit(code)
