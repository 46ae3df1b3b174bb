"""Windows close when they are old enough and have enough frames."""

from __future__ import annotations

import math

import numpy as np

from device_agent.telemetry.board import Board
from device_agent.telemetry.recorder import WindowRecorder
from device_agent.telemetry.window import WindowIdentity, WindowSums
from fleet_contract.desired import TelemetryPolicy
from tests.fakes.host_releases import reference_profile


class _Clock:
    def __init__(self) -> None:
        self.now_s = 50.0

    def __call__(self) -> float:
        return self.now_s


def _recorder(clock: _Clock, *, probation: bool = False) -> WindowRecorder:
    return WindowRecorder(
        WindowSums(WindowIdentity("main", "00" * 32, 1), reference_profile(), 10),
        TelemetryPolicy(window_s=10.0, min_frames=3),
        probation=probation,
        wall_s=lambda: 1_000_000.0 + clock(),
        elapsed_s=clock,
        board=lambda: Board(1.0, math.nan, throttled=False),
    )


def _frames(recorder: WindowRecorder, count: int) -> None:
    recorder.sums.add(np.ones((count, 4), np.float32), np.full((count, 10), 0.1, np.float32), 1.0)


def test_a_window_is_due_after_its_time() -> None:
    """Age is taken from the elapsed clock."""
    clock = _Clock()
    recorder = _recorder(clock)
    assert not recorder.due()
    clock.now_s += 10.0
    assert recorder.due()


def test_too_few_frames_merge_into_the_next_window() -> None:
    """A window below the minimum stays open and closes later with both parts and their whole duration."""
    clock = _Clock()
    recorder = _recorder(clock)
    _frames(recorder, 2)
    clock.now_s += 10.0
    assert recorder.close() is None
    _frames(recorder, 2)
    clock.now_s += 10.0
    windows = recorder.close()
    assert windows is not None
    assert (windows[0]["count"], windows[0]["duration_s"], windows[0]["started_s"]) == (4, 20.0, 1_000_050.0)


def test_failures_count_towards_the_minimum() -> None:
    """A model that only fails is still reported."""
    recorder = _recorder(_Clock())
    for _ in range(3):
        recorder.sums.add_error()
    windows = recorder.close()
    assert windows is not None
    assert (windows[0]["errors"], windows[0]["count"]) == (3, 0)


def test_the_end_of_probation_closes_the_marked_window() -> None:
    """The window before the end is marked, the one after is not."""
    recorder = _recorder(_Clock(), probation=True)
    _frames(recorder, 3)
    marked = recorder.end_probation()
    _frames(recorder, 3)
    plain = recorder.close()
    assert marked is not None
    assert plain is not None
    assert (marked[0]["probation"], plain[0]["probation"]) == (1, 0)


def test_an_empty_window_loses_its_mark() -> None:
    """Nothing in it was on probation."""
    recorder = _recorder(_Clock(), probation=True)
    assert recorder.end_probation() is None
    _frames(recorder, 3)
    windows = recorder.close()
    assert windows is not None
    assert windows[0]["probation"] == 0


def test_a_window_partly_on_probation_keeps_its_mark() -> None:
    """Frames from probation are never counted as normal ones."""
    recorder = _recorder(_Clock(), probation=True)
    _frames(recorder, 1)
    assert recorder.end_probation() is None
    _frames(recorder, 2)
    windows = recorder.close()
    assert windows is not None
    assert windows[0]["probation"] == 1
