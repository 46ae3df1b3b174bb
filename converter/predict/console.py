"""Progress of a prediction on the terminal: rows, rows a second, time left."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import timedelta
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Progress as Bars


class Pace:
    """How quick it goes since the first chunk of this run: starting the workers and earlier runs do not count."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._first: tuple[float, int, float] | None = None

    def words(self, rows: int, fraction: float) -> str:
        """Rows a second and time left, when so many rows and so much of the data are done; empty at first."""
        now_s = self._clock()
        if self._first is None:
            self._first = (now_s, rows, fraction)
        begun_s, first_rows, first_fraction = self._first
        elapsed_s, done = now_s - begun_s, fraction - first_fraction
        if elapsed_s <= 0 or done <= 0:
            return ""
        left = timedelta(seconds=round(elapsed_s * (1 - fraction) / done))
        return f", {(rows - first_rows) / elapsed_s:,.0f} rows/s, {left} left"


class ConsoleProgress:
    """See `Progress`; moves with each chunk."""

    def __init__(self, bars: Bars, pace: Pace) -> None:
        self._bars, self._pace = bars, pace
        self._task = bars.add_task("opening", total=1.0, rows="")
        self._of_all = ""

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """See `Progress.begin`."""
        self._of_all = "" if total_rows is None else f" of {total_rows:,}"
        if finished_rows:
            self._bars.console.print(f"- going on after {finished_rows:,} rows that are finished", highlight=False)
        self._bars.update(self._task, description="predicting")

    def advance(self, rows: int, fraction: float) -> None:
        """See `Progress.advance`."""
        words = f"{rows:,}{self._of_all} rows{self._pace.words(rows, fraction)}"
        self._bars.update(self._task, completed=fraction, rows=words)

    def write(self) -> None:
        """See `Progress.write`."""
        self._bars.update(self._task, description="writing", completed=1.0)


@contextmanager
def console_progress(console: Console) -> Iterator[ConsoleProgress]:
    """Progress on `console` while the block runs."""
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[rows]}"))
    with Progress(*columns, console=console, transient=True) as bars:
        yield ConsoleProgress(bars, Pace(perf_counter))
