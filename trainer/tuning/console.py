"""A search on a terminal: one bar over its trials, with the best value so far, on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from trainer.progress import Silent

if TYPE_CHECKING:
    from types import TracebackType

    from trainer.tuning.study import StudyView


class StudyProgress(Silent):
    """A progress for the data's stages, and a bar that `update` moves; a context manager."""

    def __init__(self, trials: int) -> None:
        self._console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("trials"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[words]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._trials = trials
        self._task = self._bar.add_task("trials", total=trials, words="")
        self._said_earlier = False

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()
        if kind is KeyboardInterrupt:
            self._console.print("the study is kept: the same command goes on with it")

    def remark(self, text: str) -> None:
        """Prints the sentence, indented."""
        self._console.print(f"  {escape(text)}", highlight=False)

    def update(self, view: StudyView) -> None:
        """Shows how far the study is."""
        if not self._said_earlier:
            self._said_earlier = True
            if view.finished:
                self.remark(f"goes on with study {view.name} after {view.finished} trials")
        states = [trial.state for trial in view.trials]
        words = f"{states.count('pruned')} pruned"
        if failed := states.count("fail"):
            words += f", {failed} failed"
        if view.best is not None:
            words += f", best {view.objective} {view.best.value:.4f}"
        self._bar.update(self._task, completed=min(view.finished, self._trials), words=words)
