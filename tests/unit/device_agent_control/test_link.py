"""Reconnecting without a storm."""

from __future__ import annotations

from device_agent.link import LONGEST_PAUSE_S, pause_limit_s


def test_pauses_double_up_to_a_minute() -> None:
    """1, 2, 4, ... 60 s, and never more."""
    assert [pause_limit_s(failures) for failures in (1, 2, 3, 7, 1000)] == [1.0, 2.0, 4.0, 60.0, LONGEST_PAUSE_S]
