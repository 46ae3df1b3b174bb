"""Progress of a prediction on the terminal: rows, rows a second, time left."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress as Bars


class ConsoleProgress:
    """See `Progress`; moves with each chunk."""

    def __init__(self, bars: Bars) -> None:
        self._bars = bars
        self._task = bars.add_task("opening", total=1.0, rows="")
        self._total_rows: int | None = None

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """See `Progress.begin`."""
        self._total_rows, self._finished_rows = total_rows, finished_rows
        if finished_rows:
            self._bars.console.print(f"- going on after {finished_rows:,} rows that are finished", highlight=False)
        self._bars.update(self._task, description="predicting")

    def advance(self, rows: int, fraction: float) -> None:
        """See `Progress.advance`."""
        elapsed_s = self._bars.tasks[self._task].elapsed or 0.0
        rate = (rows - self._finished_rows) / elapsed_s if elapsed_s > 0 else 0.0
        of_all = f" of {self._total_rows:,}" if self._total_rows is not None else ""
        words = f"{rows:,}{of_all} rows, {rate:,.0f} rows/s"
        self._bars.update(self._task, completed=fraction, rows=words)

    def write(self) -> None:
        """See `Progress.write`."""
        self._bars.update(self._task, description="writing", completed=1.0)


@contextmanager
def console_progress(console: Console) -> Iterator[ConsoleProgress]:
    """Progress on `console` while the block runs."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    bars = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    with bars:
        yield ConsoleProgress(bars)
