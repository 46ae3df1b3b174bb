"""How long to wait before a crashed host is started again. Pure.

Full jitter over a doubling bound; the bound starts anew once a host has stayed up for STABLE_S.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

FIRST_BOUND_S: Final = 0.2
LAST_BOUND_S: Final = 30.0
STABLE_S: Final = 60.0


def restart_delay_s(failures: int, rng: Random) -> float:
    """The wait after `failures` crashes in a row, 1 or more."""
    doublings = min(failures - 1, 16)
    return rng.uniform(0.0, min(FIRST_BOUND_S * 2.0**doublings, LAST_BOUND_S))


def failures_in_a_row(failures: int, uptime_s: float) -> int:
    """Crashes in a row after one more, of a host that had been up for `uptime_s`."""
    return 1 if uptime_s >= STABLE_S else failures + 1
