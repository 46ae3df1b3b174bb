"""Variants compete on the board."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from device_agent.host.hosted import HostedRelease
from device_agent.preflight_result import PreflightCode
from device_agent.variants import best_variant
from fleet_contract.desired import PreflightPolicy
from tests.fakes.agent_host import FakePreflight
from tests.fakes.agent_releases import make_release

if TYPE_CHECKING:
    from pathlib import Path

    from device_agent.preflight_result import PreflightResult

IDS = ("tflite-int8", "tflite-f16", "tflite-f32")


def compete(
    folder: Path, preflight: FakePreflight, *, step_s: float = 0.0
) -> tuple[str | None, dict[str, PreflightResult]]:
    """The winner's id and the failures; the clock moves by `step_s` each time it is read."""
    release = make_release(1, variants=IDS)
    candidates = [HostedRelease(release.manifest, release.sha256, name, folder) for name in IDS]
    times_s = iter(range(1000))
    best, failures = asyncio.run(
        best_variant(
            candidates,
            PreflightPolicy(time_limit_s=10.0),
            preflight,
            threads=1,
            memory_limit_mb=0,
            monotonic=lambda: next(times_s) * step_s,
        )
    )
    return (best.variant_id if best else None), failures


def test_the_fastest_that_passes_wins(tmp_path: Path) -> None:
    """A variant that fails does not win, however fast; among the rest the fastest does."""
    preflight = FakePreflight(
        failing={"tflite-int8": PreflightCode.GOLDEN}, latency_ms={"tflite-f16": 5.0, "tflite-f32": 2.0}
    )
    winner, failures = compete(tmp_path, preflight)
    assert winner == "tflite-f32"
    assert list(failures) == ["tflite-int8"]


def test_the_smallest_wins_a_tie(tmp_path: Path) -> None:
    """Equal latencies are decided by size."""
    preflight = FakePreflight(latency_ms=dict.fromkeys(IDS, 1.0))
    assert compete(tmp_path, preflight)[0] == "tflite-int8"


def test_no_further_variant_is_tried_when_time_is_up(tmp_path: Path) -> None:
    """One that passed is enough then."""
    preflight = FakePreflight(latency_ms={"tflite-int8": 9.0, "tflite-f32": 1.0})
    assert compete(tmp_path, preflight, step_s=20.0)[0] == "tflite-int8"
    assert len(preflight.tried) == 1


def test_when_none_passes_there_is_no_winner(tmp_path: Path) -> None:
    """All failures are told."""
    winner, failures = compete(tmp_path, FakePreflight(failing=dict.fromkeys(IDS, PreflightCode.LOAD)))
    assert winner is None
    assert set(failures) == set(IDS)
