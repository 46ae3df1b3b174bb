"""What `edgeferry ci` found: checks in suites, in the order in which they ran, and a recorder that times them."""

from __future__ import annotations

from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from fleet_contract.codec import UtcTime
from fleet_contract.errors import EdgeferryError, GateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Outcome(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Check(Struct, frozen=True, kw_only=True):
    """One check; `message` says why it failed or was skipped, or what it measured."""

    suite: str
    name: str
    outcome: Outcome
    duration_s: float = 0.0
    message: str = ""


class CiReport(Struct, frozen=True, kw_only=True):
    """All checks of one run on one revision of a project; kept as `ci.json` in the project's state folder."""

    schema: int = 1
    model: str
    at: UtcTime
    git_revision: str = ""
    checks: tuple[Check, ...]

    @property
    def failed(self) -> list[Check]:
        """Those that failed."""
        return [check for check in self.checks if check.outcome is Outcome.FAILED]

    @property
    def passed(self) -> bool:
        """Whether something was checked and nothing failed."""
        return not self.failed and any(check.outcome is Outcome.PASSED for check in self.checks)

    def suite(self, name: str) -> list[Check]:
        """The checks of one suite."""
        return [check for check in self.checks if check.suite == name]


def require_green(report: CiReport) -> None:
    """Passes when the report did.

    Raises:
        GateError: a check failed, or none was made; the message names the failed ones.
    """
    if not report.passed:
        names = [f"{check.suite}: {check.name}" for check in report.failed]
        raise GateError(f"{report.model}: got {len(names)} failed checks ({'; '.join(names) or 'nothing was checked'})")


class Checks:
    """Collects checks; an error of ours inside a step is a failed check and not the end."""

    def __init__(self, elapsed_s: Callable[[], float]) -> None:
        self._elapsed_s = elapsed_s
        self.found: list[Check] = []

    def add(self, suite: str, name: str, outcome: Outcome, message: str = "", duration_s: float = 0.0) -> None:
        """Adds a check that was made elsewhere."""
        self.found.append(Check(suite=suite, name=name, outcome=outcome, message=message, duration_s=duration_s))

    def hold(self, suite: str, name: str, *, holds: bool, message: str = "") -> None:
        """Adds a check that holds or does not."""
        self.add(suite, name, Outcome.PASSED if holds else Outcome.FAILED, message)

    @contextmanager
    def step(self, suite: str, name: str) -> Iterator[None]:
        """A check that passes when the block ends; checks that the block adds come after it."""
        started_s, place = self._elapsed_s(), len(self.found)
        check = Check(suite=suite, name=name, outcome=Outcome.PASSED)
        try:
            yield
        except EdgeferryError as error:
            hint = f" ({error.hint})" if error.hint else ""
            message = f"{type(error).__name__}: {error.message}{hint}"
            check = structs.replace(check, outcome=Outcome.FAILED, message=message)
        timed = structs.replace(check, duration_s=self._elapsed_s() - started_s)
        self.found.insert(place, timed)
