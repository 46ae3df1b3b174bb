"""Preflights in a real child process: what passes, and the code of each way to fail."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from pathlib import Path

import msgspec
import numpy as np
import pytest

from device_agent.host.hosted import HostedRelease
from device_agent.preflight import run_preflight
from device_agent.preflight_result import PreflightCode, PreflightResult
from fleet_contract.desired import PreflightPolicy
from fleet_contract.preprocessing import StandardizeEach
from tests.fakes.host_releases import digits, make_release, store_blob, store_golden, with_variant


def _preflight(release: HostedRelease, *, memory_limit_mb: int = 0, **policy: float) -> PreflightResult:
    return asyncio.run(run_preflight(release, PreflightPolicy(**policy), threads=1, memory_limit_mb=memory_limit_mb))


def test_memory_is_the_boards_not_that_of_who_asks(tmp_path: Path) -> None:
    """A preflight started by a large process measures its own memory, not what it inherited over fork."""
    ballast = np.ones(300 * 2**20, np.uint8)
    result = _preflight(make_release(tmp_path, "tflite-f32"), max_rss_mb=250.0)
    assert result.passed, result.detail
    assert 10.0 < result.rss_mb < 250.0
    assert ballast[-1] == 1


@pytest.mark.parametrize("variant_id", ["tflite-f32", "tflite-int8", "onnx-f32"])
def test_a_good_variant_passes_with_its_figures(tmp_path: Path, variant_id: str) -> None:
    """A variant within all budgets passes, and every figure was measured."""
    result = _preflight(make_release(tmp_path, variant_id), max_latency_p95_ms=1000.0, max_rss_mb=500.0)
    assert (result.passed, result.code, result.detail) == (True, PreflightCode.PASSED, "")
    assert 0 < result.latency_p95_ms < 1000
    assert 20 < result.rss_mb < 500
    assert result.max_abs_error <= make_release(tmp_path, variant_id).variant.golden_tolerance
    assert result.agreement >= 0.95


def _damaged(release: HostedRelease) -> HostedRelease:
    path = release.blobs / release.variant.blob.sha256
    path.write_bytes(path.read_bytes()[:-1] + b"\x00")
    return release


def _no_model(release: HostedRelease) -> HostedRelease:
    return with_variant(release, blob=store_blob(release.blobs, b"junk" * 50, "junk"))


def _other_labels(release: HostedRelease) -> HostedRelease:
    return HostedRelease(
        msgspec.structs.replace(release.manifest, labels=("a", "b")),
        release.release_sha256,
        release.variant_id,
        release.blobs,
    )


def _strict(release: HostedRelease) -> HostedRelease:
    return with_variant(release, golden_tolerance=1e-12)


def _other_answers(release: HostedRelease) -> HostedRelease:
    golden = store_golden(release.blobs, digits().inputs[:64], np.roll(digits().outputs[:64], 1, axis=1))
    manifest = msgspec.structs.replace(with_variant(release, golden_tolerance=10.0).manifest, golden=golden)
    return HostedRelease(manifest, release.release_sha256, release.variant_id, release.blobs)


def _not_finite(release: HostedRelease) -> HostedRelease:
    inputs = digits().inputs[:64].copy()
    inputs[3] = 7
    manifest = msgspec.structs.replace(
        release.manifest,
        preprocessing=(StandardizeEach(epsilon=0.0),),
        golden=store_golden(release.blobs, inputs, digits().outputs[:64]),
    )
    return HostedRelease(manifest, release.release_sha256, release.variant_id, release.blobs)


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        (_damaged, "load", "with digest"),
        (_no_model, "load", "loading tflite-f32"),
        (_other_labels, "contract", "one score per label"),
        (_strict, "golden", "largest error on golden vectors"),
        (_other_answers, "golden", "top-1 agreement"),
        (_not_finite, "golden", "preprocessed input of row 0"),
    ],
)
def test_each_way_to_fail_has_its_code(tmp_path: Path, damage: object, code: str, words: str) -> None:
    """A bad release gives a result, never an exception, with a stable code and what was found."""
    assert callable(damage)
    result = _preflight(damage(make_release(tmp_path)))
    assert (result.passed, result.code) == (False, code)
    assert words in result.detail


def test_a_slow_variant_fails_its_latency_budget(tmp_path: Path) -> None:
    """The measured percentile and the budget stand in the detail."""
    result = _preflight(make_release(tmp_path), max_latency_p95_ms=0.0001)
    assert (result.passed, result.code) == (False, "latency")
    assert "expected at most 0.0001 ms" in result.detail
    assert result.latency_p95_ms > 0.0001


@pytest.mark.parametrize("limits", [{"max_rss_mb": 15.0}, {"memory_limit_mb": 15}])
def test_a_big_variant_fails_its_memory_budget(tmp_path: Path, limits: dict[str, float]) -> None:
    """The policy's budget and the device's both hold, also while the model still loads."""
    result = _preflight(make_release(tmp_path), **limits)  # type: ignore[arg-type] # one of the two keywords
    assert (result.passed, result.code) == (False, "memory")
    assert "expected at most 15 MB" in result.detail


def test_a_proof_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """The time limit ends the child wherever it is."""
    result = _preflight(make_release(tmp_path), time_limit_s=0.05)
    assert (result.passed, result.code) == (False, "timeout")
    assert "no verdict within 0.05 s" in result.detail
    assert math.isnan(result.latency_p95_ms)


def test_a_crash_in_native_code_is_a_result(tmp_path: Path) -> None:
    """A child that dies by a signal gives the code `crash` and names the signal."""

    async def story() -> PreflightResult:
        proving = asyncio.create_task(
            run_preflight(make_release(tmp_path), PreflightPolicy(), threads=1, memory_limit_mb=0)
        )
        child = 0
        while not child:
            await asyncio.sleep(0.02)
            child = _child_pid()
        await asyncio.sleep(0.1)
        os.kill(child, signal.SIGSEGV)
        return await proving

    result = asyncio.run(story())
    assert (result.passed, result.code) == (False, "crash")
    assert "SIGSEGV" in result.detail


def _child_pid() -> int:
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for child in children:
        if b"preflight_child" in Path(f"/proc/{child}/cmdline").read_bytes():
            return int(child)
    return 0


def test_no_child_is_left_when_a_preflight_is_canceled(tmp_path: Path) -> None:
    """Whoever gives up waiting leaves no process behind."""

    async def story() -> None:
        proving = asyncio.create_task(
            run_preflight(make_release(tmp_path), PreflightPolicy(), threads=1, memory_limit_mb=0)
        )
        while not _child_pid():  # noqa: ASYNC110 - a child process has no event
            await asyncio.sleep(0.02)
        proving.cancel()
        await asyncio.wait({proving})
        assert _child_pid() == 0

    asyncio.run(story())
