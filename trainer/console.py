"""Progress on a terminal: stages as lines, epochs as a bar, all on stderr so that stdout stays data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from rich.progress import TaskID


class TerminalProgress:
    """A `trainer.progress.Progress` for people; a context manager, so that the bar is put away on an error."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def stage(self, name: str) -> None:
        """Prints the stage's name; the epochs' bar ends with the stage."""
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None
        self._console.print(f"[bold]{escape(name)}[/bold]")

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Moves the bar."""
        text = f"loss {figures.get('loss', float('nan')):.4f}  validation {figures.get('val_accuracy', 0.0):.4f}"
        if self._task is None:
            self._task = self._bar.add_task("epochs", total=total, figures=text)
        self._bar.update(self._task, completed=done, figures=text)

    def remark(self, text: str) -> None:
        """Prints the sentence, indented."""
        self._console.print(f"  {escape(text)}", highlight=False)
