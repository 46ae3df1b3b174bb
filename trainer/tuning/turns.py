"""Whose turn it is in a study that several processes share, so that together they finish as many trials as asked.

Rules: a process begins a trial only while fewer are finished and under way than wanted. Two may see the last place free
at once; then the one with the higher number gives it back. Nobody leaves while others still train: one of them may be
killed, and its trial counts as failed once its heartbeat is too old, and is tried once more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import EdgeferryError
from trainer.tuning.storage import STALE_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.tuning.study import Study, StudyView

POLL_S: Final = 1.0
MAX_FAILURES: Final = 5
"""So many failed trials without one that trained end a search: then it is not the choice that is wrong."""


class SurplusError(EdgeferryError):
    """A trial began although others take all places; no error, but the only way out of a trial."""


@dataclass(slots=True)
class Turns:
    """The turns of this process until the study has `trials`, or until `deadline_s` of the monotonic clock."""

    study: Study
    trials: int
    deadline_s: float = 0.0
    checks: Sequence[Callable[[], None]] = ()
    _silent_since_s: dict[int, float] = field(default_factory=dict, init=False)

    def next(self) -> bool:
        """True when this process shall begin a trial, False when the search is over; waits while no place is free.

        Raises:
            UnreachableError: the study's database does not answer.
        """
        while not self._over(view := self.study.view()):
            if view.count("waiting") or view.finished + view.count("running") < self.trials:
                return True
            self._fail_dead()
            time.sleep(POLL_S)
            for check in self.checks:
                check()
        return False

    def claim(self, number: int) -> None:
        """Passes when the trial of that number has a place.

        Raises:
            SurplusError: earlier trials take all places.
        """
        if self.study.earlier(number) >= self.trials:
            raise SurplusError(f"trial {number}: {self.trials} others are finished or under way")

    def _over(self, view: StudyView) -> bool:
        late = bool(self.deadline_s) and time.monotonic() >= self.deadline_s
        return late or view.finished >= self.trials or all_failed(view)

    def _fail_dead(self) -> None:
        """Frees the places of trials whose processes are gone, if need be before the first heartbeat."""
        self.study.fail_stale()
        now_s, silent = time.monotonic(), self.study.silent()
        self._silent_since_s = {number: self._silent_since_s.get(number, now_s) for number in silent}
        for number, since_s in self._silent_since_s.items():
            if now_s - since_s > STALE_AFTER_S:
                self.study.fail(number)


def all_failed(view: StudyView) -> bool:
    """Whether so many trials failed, and none did not, that the search should stop."""
    failed = view.count("fail")
    return failed >= MAX_FAILURES and failed == len(view.trials) - view.count("running")
