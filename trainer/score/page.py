"""A score card on a terminal and as a page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trainer.pages.page import heading, page, paragraph, table

if TYPE_CHECKING:
    from trainer.score.scoring import ScoreCard, Section, TestScore


COLUMNS: Final = ("test", "points", "evidence", "to raise it")


def print_score(card: ScoreCard) -> None:
    """Prints every test with its evidence, and what would raise it."""
    console = Console()
    for section, points in card.sections.items():
        shown = Table(title=f"{section}: {points:g} of 7")
        for name in COLUMNS:
            shown.add_column(name, overflow="fold")
        for test in _tests(card, section):
            cells = (f"{test.id} {test.title}", f"{test.points:g}", "\n".join(test.evidence), test.to_raise)
            shown.add_row(*map(escape, cells))
        console.print(shown)
    console.print(f"ML Test Score {card.score:g} (the least section): {card.band}", highlight=False)


def score_page(card: ScoreCard) -> str:
    """The card as a page."""
    parts = [paragraph(f"{card.score:g}, the least of four sections: {card.band}.")]
    parts.append(table(("section", "points"), [(section, f"{points:g}") for section, points in card.sections.items()]))
    for section, points in card.sections.items():
        rows = [
            (f"{test.id} {test.title}", f"{test.points:g}", "; ".join(test.evidence), test.to_raise)
            for test in _tests(card, section)
        ]
        parts += [heading(f"{section}: {points:g} of 7"), table(COLUMNS, rows)]
    return page(f"ML Test Score of {card.model}", parts)


def _tests(card: ScoreCard, section: Section) -> list[TestScore]:
    return [test for test in card.tests if test.section == section]
