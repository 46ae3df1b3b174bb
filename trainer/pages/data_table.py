"""The data report on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

if TYPE_CHECKING:
    from trainer.data.skew import SkewReport
    from trainer.data.statistics import DataStatistics
    from trainer.pages.data import DataReport

MOST_FEATURES: Final = 50
RARE_SHARE: Final = 0.05
RARE_OF_EVEN_SHARE: Final = 0.5
"""Of thirty classes each has but a thirtieth: the rarest is rare when it has less than half of that."""


def print_statistics(statistics: DataStatistics) -> None:
    """Prints figures of features and the balance of classes."""
    console = Console()
    console.print(_feature_table(statistics))
    hidden = len(statistics.features) - MOST_FEATURES
    if hidden > 0:
        console.print(f"{hidden} more features: --json shows all")
    console.print(_class_table(statistics))
    fleet = f", {statistics.fleet_rows} from the fleet" if statistics.fleet_rows else ""
    console.print(
        f"{statistics.rows} rows{fleet} of {statistics.dtype} {escape(str(list(statistics.shape)))}, "
        f"{statistics.missing_rows} with NaN or infinity, {statistics.copies} equal to an earlier one   "
        f"{escape(statistics.source)}",
        highlight=False,
        soft_wrap=True,
    )
    _hint_rare_class(console, statistics)


def print_findings(report: DataReport) -> None:
    """Prints what verification found, fatal things first."""
    console = Console(highlight=False, soft_wrap=True)
    for anomaly in report.fatal:
        console.print(f"[red]fails[/red]  {escape(str(anomaly))}")
    for remark in report.worth_a_look():
        console.print(f"look   {escape(remark)}")
    if report.against is not None:
        console.print(_skew_table(report.against))
    if not report.fatal:
        console.print(f"[green]sound[/green]  {report.statistics.rows} rows meet the schema")
    _hint_rare_class(console, report.statistics)


def _feature_table(statistics: DataStatistics) -> Table:
    table = Table(Column("feature", no_wrap=True), "missing", "distinct", "low", "median", "high", "mean", "std")
    for one in statistics.features[:MOST_FEATURES]:
        figures = (one.low, one.median, one.high, one.mean, one.std)
        missing = f"{one.missing / max(1, one.count):.2%}" if one.missing else "0"
        table.add_row(escape(one.name), missing, str(one.distinct), *(f"{value:.4g}" for value in figures))
    return table


def _class_table(statistics: DataStatistics) -> Table:
    table = Table("class", "rows", "share")
    for one in statistics.classes:
        table.add_row(escape(one.name), str(one.count), f"{one.share:.1%}")
    return table


def _hint_rare_class(console: Console, statistics: DataStatistics) -> None:
    """A line where the other classes may drown the rarest."""
    rarest = min(statistics.classes, key=lambda one: one.share, default=None)
    if rarest is None or rarest.share >= min(RARE_SHARE, RARE_OF_EVEN_SHARE / len(statistics.classes)):
        return
    words = (
        f"hint   class {rarest.name!r} is {rarest.share:.1%} of the rows, and accuracy says little of it: "
        "see [train] class_weight and [validate] min_class_recall"
    )
    console.print(escape(words), highlight=False, soft_wrap=True)


def _skew_table(skew: SkewReport) -> Table:
    names = ("verdict", "stability index", "noise", "greatest difference", "noise")
    table = Table(Column("feature", no_wrap=True), *names)
    for one in skew.features[:MOST_FEATURES]:
        word = "[red]shifted[/red]" if one.shifted else "as before"
        table.add_row(
            escape(one.name),
            word,
            f"{one.psi:.4f}",
            f"{one.psi_limit:.4f}",
            f"{one.greatest_difference:.1%}",
            f"{one.difference_limit:.1%}",
        )
    return table
