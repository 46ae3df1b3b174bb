"""The conversion report as one HTML page that needs nothing else: no script, no outside asset."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from converter.proof.gates import gate_in_words
from converter.report.plot import plot_search, plot_variants
from converter.report.rows import columns, row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from converter.report.figures import ConversionReport, SearchReport, VariantReport
    from fleet_contract.release import GateResult

_STYLE: Final = """
:root { color-scheme: light; --line: #d8dde3; --good: #1f7a4d; --bad: #b3441e; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #1d242c; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; } .scroll { overflow-x: auto; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .words { text-align: left; } .words { white-space: normal; min-width: 14rem; }
.good { color: var(--good); } .bad { color: var(--bad); } svg { max-width: 100%; height: auto; margin-top: 1rem; }
footer { margin-top: 2rem; color: #5b6672; font-size: .85rem; }
"""
_MAX_STEPS_SHOWN: Final = 200
_IN_WORDS: Final = frozenset({"evidence", "nothing better in", "beaten by", "why not", "names", "error"})


def render(report: ConversionReport) -> str:
    """The page."""
    title = f"Conversion of {escape(report.model)}"
    parts = [
        f"<h1>{title}</h1>",
        _summary(report),
        _variants(report),
        plot_variants(report) if any(variant.evidence for variant in report.variants) else "",
        _front(report),
        _targets(report),
        *(_gates(variant) for variant in report.variants),
        *(_search(search) for search in report.search),
        _layers(report),
        _remarks(report),
        _stages(report),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def _summary(report: ConversionReport) -> str:
    passed = sum(variant.published for variant in report.variants)
    override = f" The candidate's verdict was overruled: {escape(report.override)}." if report.override else ""
    targets = f" For {escape(', '.join(report.targets))}." if report.targets else ""
    accuracy = (
        f"accuracy {report.float_accuracy:.2%} on {report.holdout_rows} held-out rows"
        if report.labelled and report.classes
        else f"{report.holdout_rows} held-out rows without labels, so no accuracy"
    )
    return (
        f"<p>{passed} of {len(report.variants)} variants passed every gate.{targets} Float model: {accuracy}; "
        f"{report.calibration_rows} rows for calibration, {report.selection_rows} to choose on, {report.golden_rows} "
        f"golden vectors. Candidate of {report.candidate_created_at:%Y-%m-%d %H:%M} UTC.{override}</p>"
    )


def _table(head: Sequence[str], rows: Iterable[str]) -> str:
    """Columns in `_IN_WORDS` are set left."""
    words = {True: ' class="words"', False: ""}
    cells = "".join(f'<th scope="col"{words[name in _IN_WORDS]}>{escape(name)}</th>' for name in head)
    body = "".join(f"<tr>{each}</tr>" for each in rows)
    return f'<div class="scroll"><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table></div>'


def _variants(report: ConversionReport) -> str:
    names = columns(report)
    return _table(names, (_variant(report, variant, len(names)) for variant in report.variants))


def _variant(report: ConversionReport, variant: VariantReport, width: int) -> str:
    verdict = '<td class="good">published</td>' if variant.published else '<td class="bad">refused</td>'
    start = f"<td>{escape(variant.id)}</td>{verdict}"
    cells = row(report, variant)[2:]
    if not cells:
        return f'{start}<td class="words" colspan="{width - 2}">{escape(variant.reason)}</td>'
    return start + "".join(f"<td>{escape(cell)}</td>" for cell in cells)


def _front(report: ConversionReport) -> str:
    rows = [
        f"<td>{escape(variant.id)}</td><td>{'on the front' if standing.front else 'beaten'}</td>"
        f'<td class="words">{escape(", ".join(standing.wins))}</td>'
        f'<td class="words">{escape(", ".join(standing.beaten_by))}</td>'
        for variant in report.variants
        if (standing := variant.standing)
    ]
    if not rows:
        return ""
    note = (
        "<p>A variant is beaten by one that is nowhere worse and somewhere better. In the picture filled marks are on "
        "the front, crosses were refused, the dashed line is the float model, and a line down from a mark reaches to "
        "the one-sided 95 % bound of what is lost.</p>"
    )
    return f"<h2>Front</h2>{note}{_table(('variant', 'place', 'nothing better in', 'beaten by'), rows)}"


def _targets(report: ConversionReport) -> str:
    rows = [
        f"<td>{escape(variant.id)}</td><td>{escape(verdict.target)}</td>{_yes_or_no(holds=verdict.suits)}"
        f'<td class="words">{escape("; ".join(gate_in_words(gate) for gate in verdict.gates if not gate.passed))}</td>'
        for variant in report.variants
        for verdict in variant.targets
    ]
    return f"<h2>Targets</h2>{_table(('variant', 'target', 'suits', 'why not'), rows)}" if rows else ""


def _yes_or_no(*, holds: bool) -> str:
    return '<td class="good">yes</td>' if holds else '<td class="bad">no</td>'


def _gates(variant: VariantReport) -> str:
    head = ("gate", "held", "measured", "threshold", "evidence")
    return f"<h2>{escape(variant.id)}</h2>{_table(head, (_gate(gate) for gate in variant.gates))}"


def _gate(gate: GateResult) -> str:
    return (
        f"<td>{escape(gate.gate)}</td>{_yes_or_no(holds=gate.passed)}<td>{gate.measured:.6g}</td>"
        f'<td>{gate.threshold:.6g}</td><td class="words">{escape(gate.detail)}</td>'
    )


def _search(search: SearchReport) -> str:
    shown = search.trials[:_MAX_STEPS_SHOWN]
    rows = (
        f"<td>{escape(trial.step)}</td><td>{escape(trial.plan.ranges)}{' bias' if trial.plan.bias else ''}</td>"
        f"<td>{trial.plan.calibration_rows or 'all'}</td><td>{len(trial.plan.float_layers)}</td>"
        f"<td>{len(trial.plan.int4_layers)}</td><td>{trial.size_bytes / 1024:.1f} KB</td>"
        f"<td>{trial.sqnr_db:.1f} dB</td><td>{trial.top1_agreement:.2%}</td>"
        f'<td class="words">{escape(trial.error)}</td>'
        for trial in shown
    )
    head = ("step", "ranges", "rows", "float", "int4", "size", "SQNR", "agreement", "error")
    left = len(search.trials) - len(shown)
    more = f"<p>{left} further trials are in report.json.</p>" if left else ""
    plot = plot_search(search) if any(not trial.error for trial in search.trials) else ""
    title = f"<h2>Search for {escape(search.runtime)}: {len(search.trials)} trials</h2>"
    return f"{title}{plot}<details><summary>all trials</summary>{_table(head, rows)}{more}</details>"


def _layers(report: ConversionReport) -> str:
    rows = [
        f"<td>{escape(variant.id)}</td><td>{kind}</td>"
        f'<td>{len(names)}</td><td class="words">{escape(", ".join(names))}</td>'
        for variant in report.variants
        for kind, names in (("float", variant.float_layers), ("int4", variant.int4_layers))
        if names
    ]
    head = ("variant", "kept in", "layers", "names")
    return f"<h2>Layers that are not in int8</h2>{_table(head, rows)}" if rows else ""


def _remarks(report: ConversionReport) -> str:
    if not report.remarks:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(remark)}</li>' for remark in report.remarks)}</ul>"


def _stages(report: ConversionReport) -> str:
    times = ", ".join(f"{escape(stage.name)} {stage.duration_s:.1f} s" for stage in report.stages)
    return f"<footer>Latency and memory: one thread of the machine that converted. {times}.</footer>"
