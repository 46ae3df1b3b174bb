"""The outcome of a conversion on the terminal: a table with the front marked, or the report as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console

    from converter.bundle import Bundle
    from converter.report.figures import ConversionReport

_PLAIN_WIDTH: Final = 240
"""Columns where the output is no terminal, so that nothing is cut."""
_LEFT: Final = frozenset({"variant", "verdict", "made as", "worst slice", "for"})


def show(bundle: Bundle, console: Console, *, as_json: bool) -> None:
    """Prints the bundle's report to stdout, and to `console` where the bundle is."""
    from converter.bundle import REPORT_JSON
    from converter.report.figures import MAX_REPORT_BYTES, ConversionReport
    from fleet_contract.codec import decode

    data = (bundle.folder / REPORT_JSON).read_bytes()
    if as_json:
        print(data.decode())  # noqa: T201  stdout is for data
    else:
        print_report(decode(data, ConversionReport, max_bytes=MAX_REPORT_BYTES))
    console.print(f"bundle: {bundle.folder}", f"report: {bundle.report}", sep="\n", highlight=False, soft_wrap=True)


def print_report(report: ConversionReport) -> None:
    """Prints the table of variants, and under it why any was refused, as a whole or for one target."""
    from rich.console import Console
    from rich.table import Table

    from converter.report.rows import columns, row

    table = Table(title=_title(report), title_justify="left", caption=_caption(report), caption_justify="left")
    for name in columns(report):
        table.add_column(name, justify="left" if name in _LEFT else "right")
    for variant in report.variants:
        table.add_row(*row(report, variant), style="" if variant.published else "red")
    console = Console()
    if not console.is_terminal:
        console.width = _PLAIN_WIDTH
    console.print(table)
    for line in refusals(report):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def refusals(report: ConversionReport) -> list[str]:
    """A line for each variant that was refused, and for each target that a published one is not for."""
    from converter.proof.gates import gate_in_words

    lines = [f"{variant.id} refused: {variant.reason}" for variant in report.variants if not variant.published]
    for variant in report.variants:
        for verdict in variant.targets if variant.published else ():
            if not verdict.suits:
                reasons = "; ".join(gate_in_words(gate) for gate in verdict.gates if not gate.passed)
                lines.append(f"{variant.id} not for {verdict.target}: {reasons}")
    return lines


def _title(report: ConversionReport) -> str:
    if report.labelled and report.classes:
        return f"{report.model}: float accuracy {report.float_accuracy:.2%} on {report.holdout_rows} held-out rows"
    return f"{report.model}: {report.holdout_rows} held-out rows without labels"


def _caption(report: ConversionReport) -> str:
    trials = sum(len(search.trials) for search in report.search)
    searched = f"; {trials} trials of the search are in the report" if trials else ""
    return f"front *: no other variant is nowhere worse and somewhere better{searched}"
