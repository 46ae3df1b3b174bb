"""Tells the story on stderr, keeps its facts for the picture, and turns a broken expectation into an error."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fleet_contract.errors import GateError

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(slots=True)
class Act:
    """A part of the story, with the seconds at which it began and ended."""

    title: str
    started_s: float
    ended_s: float = 0.0


@dataclass(slots=True)
class Moment:
    """Something that happened at a time, for the picture's time line."""

    at_s: float
    words: str


@dataclass(slots=True)
class Narrator:
    """Prints and remembers. Times are seconds since it was made."""

    console: Console
    born_s: float = field(default_factory=time.monotonic)
    acts: list[Act] = field(default_factory=list)
    moments: list[Moment] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    def now_s(self) -> float:
        """Seconds since the story began."""
        return time.monotonic() - self.born_s

    def act(self, title: str) -> None:
        """Begins the next act and says how long the last one took."""
        self.end_act()
        self.acts.append(Act(title, self.now_s()))
        self.console.rule(f"[bold]{len(self.acts)}. {title}", align="left")

    def end_act(self) -> None:
        """Closes the running act."""
        if self.acts and not self.acts[-1].ended_s:
            act = self.acts[-1]
            act.ended_s = self.now_s()
            self.console.print(f"   ({act.ended_s - act.started_s:.1f} s)", style="dim")

    def say(self, words: str) -> None:
        """A line of the story."""
        self.console.print(f"   {words}", highlight=False, markup=False, soft_wrap=True)

    def mark(self, words: str) -> None:
        """A line that is also a mark on the time line."""
        self.moments.append(Moment(self.now_s(), words))
        self.say(words)

    def figure(self, name: str, value: float) -> None:
        """Remembers a measured number."""
        self.figures[name] = value

    def expect(self, words: str, *, holds: bool, detail: str = "") -> None:
        """States an expectation.

        Raises:
            GateError: it does not hold; the demo ends with that exit code.
        """
        if not holds:
            self.console.print(f"   [red]✗ {words}[/red] {detail}")
            raise GateError(f"the demo's act {len(self.acts)} failed: {words}", hint=detail)
        self.console.print(f"   [green]✓[/green] {words}", highlight=False)
