"""Progress on the terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console


class ConsoleProgress:
    """Shows the stage at work, and leaves a line for each one and for each remark."""

    def __init__(self, console: Console, update: Callable[[str], None]) -> None:
        self._console = console
        self._update = update

    def stage(self, name: str) -> None:
        """See `Progress.stage`."""
        self._console.print(f"- {name}", highlight=False, markup=False)
        self._update(name)

    def remark(self, text: str) -> None:
        """See `Progress.remark`."""
        self._console.print(f"note: {text}", style="yellow", highlight=False, markup=False)


@contextmanager
def console_progress(console: Console, title: str) -> Iterator[ConsoleProgress]:
    """Progress on `console` while the block runs, beginning with `title`."""
    with console.status(title) as status:
        yield ConsoleProgress(console, status.update)
