"""How results reach the terminal: JSON for scripts or a table for people, on stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime


def print_json(value: object) -> None:
    """The value as indented JSON."""
    print(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, title: str = "") -> None:
    """A table; the terminal's width and NO_COLOR are respected, and cells are never cut in a pipe."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 240
    table = Table(*columns, title=title or None, title_justify="left", header_style="bold")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    console.print(table)


def show_time(at: datetime | None) -> str:
    """A moment in local time, to the second; `never` for None."""
    return at.astimezone().strftime("%Y-%m-%d %H:%M:%S") if at else "never"
