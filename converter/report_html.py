"""The conversion report as one HTML page that needs nothing else: no script, no outside asset."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final

from converter.report_plot import plot_svg

if TYPE_CHECKING:
    from converter.report import ConversionReport, VariantReport
    from fleet_contract.release import GateResult

_STYLE: Final = """
:root { color-scheme: light; --line: #d8dde3; --good: #1f7a4d; --bad: #b3441e; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #1d242c; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } .scroll { overflow-x: auto; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, .words { text-align: left; } .words { white-space: normal; min-width: 14rem; }
.good { color: var(--good); } .bad { color: var(--bad); } svg { max-width: 100%; height: auto; margin-top: 1rem; }
footer { margin-top: 2rem; color: #5b6672; font-size: .85rem; }
"""
_COLUMNS: Final = (
    "variant", "verdict", "size", "accuracy", "drop", "agreement", "max error", "SQNR", "p50", "p95", "RSS",
)  # fmt: skip


def render(report: ConversionReport) -> str:
    """The page."""
    title = f"Conversion of {escape(report.model)}"
    parts = [
        f"<h1>{title}</h1>",
        _summary(report),
        f'<div class="scroll">{_table(report)}</div>',
        plot_svg(report) if any(variant.evidence for variant in report.variants) else "",
        *(_gates(variant) for variant in report.variants),
        _remarks(report),
        _stages(report),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    body = "\n".join(parts)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{_STYLE}</style></head>\n<body>{body}</body></html>\n'


def _summary(report: ConversionReport) -> str:
    passed = sum(variant.published for variant in report.variants)
    override = f" The candidate's verdict was overruled: {escape(report.override)}." if report.override else ""
    return (
        f"<p>{passed} of {len(report.variants)} variants passed every gate. Float model: accuracy "
        f"{report.float_accuracy:.2%} on {report.holdout_rows} held-out rows; {report.calibration_rows} rows for "
        f"calibration, {report.golden_rows} golden vectors. Candidate of {report.candidate_created_at:%Y-%m-%d %H:%M} "
        f"UTC.{override}</p>"
    )


def _table(report: ConversionReport) -> str:
    head = "".join(f'<th scope="col">{name}</th>' for name in _COLUMNS)
    rows = "".join(f"<tr>{_row(variant)}</tr>" for variant in report.variants)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(variant: VariantReport) -> str:
    verdict = '<td class="good">published</td>' if variant.published else '<td class="bad">refused</td>'
    start = f"<td>{escape(variant.id)}</td>{verdict}"
    found = variant.evidence
    if found is None:
        return f'{start}<td class="words" colspan="{len(_COLUMNS) - 2}">{escape(variant.reason)}</td>'
    cells = (
        f"{variant.size_bytes / 1024:.1f} KB",
        f"{found.accuracy:.2%}",
        f"{100 * found.accuracy_drop:+.2f} points",
        f"{found.top1_agreement:.2%}",
        f"{found.max_abs_error:.2g}",
        f"{found.sqnr_db:.1f} dB",
        f"{found.latency_p50_ms:.3f} ms",
        f"{found.latency_p95_ms:.3f} ms",
        f"{found.host_rss_mb:.0f} MB",
    )
    return start + "".join(f"<td>{cell}</td>" for cell in cells)


def _gates(variant: VariantReport) -> str:
    rows = "".join(f"<tr>{_gate(gate)}</tr>" for gate in variant.gates)
    head = "<th>gate</th><th>held</th><th>measured</th><th>threshold</th><th class='words'>evidence</th>"
    return (
        f'<h2>{escape(variant.id)}</h2><div class="scroll"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _gate(gate: GateResult) -> str:
    held = '<td class="good">yes</td>' if gate.passed else '<td class="bad">no</td>'
    return (
        f"<td>{escape(gate.gate)}</td>{held}<td>{gate.measured:.6g}</td><td>{gate.threshold:.6g}</td>"
        f'<td class="words">{escape(gate.detail)}</td>'
    )


def _remarks(report: ConversionReport) -> str:
    if not report.remarks:
        return ""
    return f"<h2>Remarks</h2><ul>{''.join(f'<li>{escape(remark)}</li>' for remark in report.remarks)}</ul>"


def _stages(report: ConversionReport) -> str:
    times = ", ".join(f"{escape(stage.name)} {stage.duration_s:.1f} s" for stage in report.stages)
    return f"<footer>Latency and memory: one thread of the machine that converted. {times}.</footer>"
