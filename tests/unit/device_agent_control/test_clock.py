"""The effective clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from device_agent.clock import BUILT_AT, TrustedClock

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATER = BUILT_AT + timedelta(days=30)


def test_a_board_that_wakes_up_in_1970_takes_the_build_time() -> None:
    """Without a battery-backed clock the time is at least when this version was built."""
    assert TrustedClock(lambda: EPOCH).now() == BUILT_AT


def test_a_signed_time_moves_the_clock_on_and_never_back() -> None:
    """A later signed time counts, an earlier one does not."""
    clock = TrustedClock(lambda: EPOCH)
    assert clock.witness(LATER)
    assert not clock.witness(BUILT_AT)
    assert clock.now() == LATER


def test_a_system_clock_that_is_ahead_counts() -> None:
    """The maximum of all wins."""
    assert TrustedClock(lambda: LATER, signed_at=BUILT_AT).now() == LATER


def test_the_signed_time_of_an_earlier_run_counts() -> None:
    """What was persisted is the floor after a restart."""
    assert TrustedClock(lambda: EPOCH, signed_at=LATER).now() == LATER
