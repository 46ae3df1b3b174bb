"""Restart delays, totals, metrics, board readings, golden outcomes, blobs and installed runtimes."""

from __future__ import annotations

import math
import os
import sys
from random import Random
from subprocess import run
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent.host.channel import Heartbeat
from device_agent.host.golden import GoldenOutcome, load_golden
from device_agent.host.metrics import render_metrics
from device_agent.host.restart import LAST_BOUND_S, failures_in_a_row, restart_delay_s
from device_agent.host.statistics import Outcome, Statistics
from device_agent.host.totals import add_up
from device_agent.runtimes import installed_runtimes
from device_agent.telemetry.board import process_rss_mb, read_board
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError
from fleet_contract.telemetry import LATENCY_BINS
from tests.fakes.host_releases import make_release

if TYPE_CHECKING:
    from pathlib import Path


def test_restart_delays_grow_to_a_cap_with_full_jitter() -> None:
    """Delays lie between 0 and a bound that doubles up to its cap."""
    rng = Random(3)
    assert all(0.0 <= restart_delay_s(1, rng) <= 0.2 for _ in range(50))
    late = [restart_delay_s(40, rng) for _ in range(200)]
    assert max(late) <= LAST_BOUND_S
    assert max(late) > LAST_BOUND_S * 0.8
    assert min(late) < LAST_BOUND_S * 0.2


def test_a_host_that_stayed_up_starts_the_count_anew() -> None:
    """Only crashes in quick succession lengthen the wait."""
    assert failures_in_a_row(5, uptime_s=1.0) == 6
    assert failures_in_a_row(5, uptime_s=3600.0) == 1


def _beat(requests: int, latency_bin: int) -> Heartbeat:
    latency = [0] * LATENCY_BINS
    latency[latency_bin] = requests
    return Heartbeat(requests=requests, errors=1, invalid=2, healthy=requests - 3, latency=tuple(latency))


def test_totals_add_up_over_restarts() -> None:
    """Counts and latencies of all processes of a release count together."""
    counts = add_up([_beat(10, 4), _beat(30, 20)], crashes=1)
    assert (counts.requests, counts.errors, counts.invalid, counts.healthy, counts.crashes) == (40, 2, 4, 34, 1)
    assert counts.latency_p95_ms == pytest.approx(0.01 * 2 ** (21 / 4))


def test_totals_of_nothing_are_empty() -> None:
    """Before the first heartbeat there is no latency."""
    counts = add_up([], crashes=2)
    assert (counts.requests, counts.crashes) == (0, 2)
    assert math.isnan(counts.latency_p95_ms)


def test_metrics_are_cumulative_and_escaped() -> None:
    """Buckets never fall, the last equals the count, and label values cannot break a line."""
    statistics = Statistics()
    for latency_ms in (0.1, 1.0, 1.1, 50.0):
        statistics.answered(2, latency_ms)
    statistics.count(Outcome.INVALID)
    text = render_metrics(statistics, {"model": 'a"b\n', "digest": "d"}, rss_bytes=1e6, age_s=3.0)
    buckets = [int(line.rsplit(" ", 1)[1]) for line in text.splitlines() if "_bucket{" in line]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 4
    assert 'edgeferry_inference_requests_total{model="a\\"b\\n",outcome="invalid"} 1' in text
    assert 'edgeferry_inferences_total{model="a\\"b\\n"} 8' in text
    assert 'edgeferry_model_info{model="a\\"b\\n",digest="d"} 1' in text


def test_board_figures_come_from_their_files(tmp_path: Path) -> None:
    """Temperature in thousandths, throttling as the Raspberry Pi's bits for right now."""
    temperature, throttled = tmp_path / "temp", tmp_path / "throttled"
    temperature.write_text("48312\n")
    throttled.write_text("50005\n")
    board = read_board(temperature, throttled)
    assert board.temperature_c == pytest.approx(48.312)
    assert board.throttled
    throttled.write_text("50000\n")  # has happened, is over
    assert not read_board(temperature, throttled).throttled


def test_a_board_that_tells_nothing_is_fine(tmp_path: Path) -> None:
    """Where there is no sensor the temperature is NaN and nothing is throttled."""
    board = read_board(tmp_path / "none", tmp_path / "none")
    assert math.isnan(board.temperature_c)
    assert not board.throttled


def test_resident_memory_is_read_by_process_id() -> None:
    """Our own is some megabytes, that of no process 0."""
    assert process_rss_mb(os.getpid()) > 5
    assert process_rss_mb(2**22 + 1) == 0.0


def test_golden_outcomes_fail_on_error_agreement_and_nan(tmp_path: Path) -> None:
    """Each bound of the variant is kept or named; NaN never passes."""
    variant = make_release(tmp_path).variant
    assert GoldenOutcome(1e-5, 1.0).failure(variant) == ""
    assert "largest error" in GoldenOutcome(1e-3, 1.0).failure(variant)
    assert "agreement" in GoldenOutcome(1e-5, 0.5).failure(variant)
    assert "largest error" in GoldenOutcome(math.nan, 1.0).failure(variant)


@pytest.mark.parametrize(
    "arrays",
    [
        {"inputs": np.zeros((4, 8, 8, 1), np.uint8)},
        {"inputs": np.zeros((4, 9, 8, 1), np.uint8), "outputs": np.zeros((4, 10))},
        {"inputs": np.zeros((4, 8, 8, 1), np.uint8), "outputs": np.zeros((3, 10))},
        {"inputs": np.array([{}], object), "outputs": np.zeros((1, 10))},
    ],
)
def test_golden_files_that_do_not_fit_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Missing arrays, other shapes and pickled objects are a ModelError."""
    path = tmp_path / "golden.npz"
    np.savez(path, **arrays)  # type: ignore[arg-type] # its stub takes the keywords for an option
    with pytest.raises(ModelError, match="golden vectors of digits v1"):
        load_golden(path, make_release(tmp_path / "blobs").manifest)


def test_a_damaged_blob_is_found_when_it_is_opened(tmp_path: Path) -> None:
    """One flipped bit on the disk is a ModelError that says so."""
    release = make_release(tmp_path)
    blob = release.variant.blob
    content = bytearray((tmp_path / blob.sha256).read_bytes())
    content[100] ^= 1
    (tmp_path / blob.sha256).write_bytes(content)
    with pytest.raises(ModelError, match=r"got .* bytes with digest"):
        release.blob_path(blob)


def test_runtimes_are_listed_without_importing_them() -> None:
    """The agent's profile costs no runtime's memory."""
    program = (
        "import sys; from device_agent.runtimes import installed_runtimes; found = installed_runtimes();"
        "assert not {'ai_edge_litert', 'onnxruntime', 'tflite_runtime', 'numpy.linalg.lapack'} & set(sys.modules);"
        "print(len(found))"
    )
    answer = run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(answer.stdout) == len(installed_runtimes())


def test_each_runtime_is_listed_once_with_its_version() -> None:
    """The list holds what models would really be opened with."""
    found = {info.runtime: info for info in installed_runtimes()}
    assert found[Runtime.TFLITE].implementation in ("ai-edge-litert", "tflite-runtime")
    assert found[Runtime.ONNX].version[0].isdigit()
