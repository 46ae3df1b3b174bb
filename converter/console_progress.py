"""Progress on the terminal: a line for each stage, and what is going on with the time that it takes.

While a search is at work its record on disk grows by a line per trial, which is how its progress is seen from outside.
"""

from __future__ import annotations

from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from rich.console import Console

_REFRESHES_PER_S: Final = 2


class Ticker:
    """The text beside the spinner: the stage, its time, and how many trials are in the files in `records`."""

    def __init__(self, title: str, clock: Callable[[], float], records: Path | None = None) -> None:
        self._clock = clock
        self._records = records
        self.begin(title)

    def begin(self, stage: str) -> None:
        """Another stage is at work."""
        self._stage, self._begun_s, self._before = stage, self._clock(), self._trials()

    def __rich__(self) -> str:
        """See rich's protocol: asked for on every refresh."""
        from rich.markup import escape

        trials = self._trials()
        searched = f", {trials} trials of the search" if trials > self._before else ""
        return f"{escape(self._stage)} ({self._clock() - self._begun_s:.0f} s{searched})"

    def _trials(self) -> int:
        if self._records is None:
            return 0
        return sum(_trials_in(path) for path in self._records.glob("*.jsonl"))


def _trials_in(path: Path) -> int:
    """Lines after the first, which says of what the record is; none when the file is just being replaced."""
    try:
        return max(0, path.read_bytes().count(b"\n") - 1)
    except OSError:
        return 0


class ConsoleProgress:
    """Shows the stage at work, and leaves a line for each one and for each remark."""

    def __init__(self, console: Console, ticker: Ticker) -> None:
        self._console = console
        self._ticker = ticker

    def stage(self, name: str) -> None:
        """See `Progress.stage`."""
        self._console.print(f"- {name}", highlight=False, markup=False)
        self._ticker.begin(name)

    def remark(self, text: str) -> None:
        """See `Progress.remark`."""
        self._console.print(f"note: {text}", style="yellow", highlight=False, markup=False)


@contextmanager
def console_progress(console: Console, title: str, *, records: Path | None = None) -> Iterator[ConsoleProgress]:
    """Progress on `console` while the block runs, beginning with `title`; `records` is the folder of a search."""
    ticker = Ticker(title, perf_counter, records)
    with console.status(ticker, refresh_per_second=_REFRESHES_PER_S):
        yield ConsoleProgress(console, ticker)
