"""The clock that trust decisions use: a Pi has no battery-backed clock and may wake up in the past.

Effective time = max(system clock, last signed time that was accepted, build time). It never runs backwards over
a restart, because the last signed time is persisted by whoever calls `witness`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

BUILT_AT: Final = datetime(2026, 11, 1, tzinfo=UTC)
"""No genuine message to this version is older; raised with each release."""


def system_now() -> datetime:
    """The system's time; the one place where this package reads it."""
    return datetime.now(UTC)


class TrustedClock:
    """The effective clock.

    Args:
        system: reads the system clock.
        signed_at: the last signed time that an earlier run accepted.
    """

    def __init__(self, system: Callable[[], datetime], *, signed_at: datetime | None = None) -> None:
        self._system = system
        self._floor = max(BUILT_AT, signed_at or BUILT_AT)

    def now(self) -> datetime:
        """The effective time."""
        return max(self._system(), self._floor)

    def witness(self, signed_at: datetime) -> bool:
        """Takes a time that came under a good signature; says whether the floor rose and should be persisted."""
        if signed_at <= self._floor:
            return False
        self._floor = signed_at
        return True
