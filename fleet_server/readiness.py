"""Whether the server can do its work: each check answers in words what is missing, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import EdgeferryError

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """A list of named checks."""

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], bool]] = {}

    def add(self, name: str, check: Callable[[], bool]) -> None:
        """Adds a check, which returns False or raises an error of ours when `name` does not work."""
        self._checks[name] = check

    def missing(self) -> list[str]:
        """The names of what does not work."""
        return [name for name, check in self._checks.items() if not _holds(check)]


def _holds(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except EdgeferryError:
        return False
