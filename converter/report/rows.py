"""The report's table of variants as words, the same in the terminal and on the page. Pure.

Columns that the report has no figures for are left out: accuracy without labels, agreement without classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from converter.report.figures import ConversionReport, VariantReport
    from fleet_contract.release import VariantEvidence

    Cell = Callable[[VariantReport, VariantEvidence], str]


def columns(report: ConversionReport) -> tuple[str, ...]:
    """Heads of the table."""
    return ("variant", "verdict", *(name for name, _ in _figures(report)))


def row(report: ConversionReport, variant: VariantReport) -> tuple[str, ...]:
    """The cells of one variant; only the first two where it never gave figures."""
    start = (variant.id, "published" if variant.published else "refused")
    found = variant.evidence
    return start if found is None else (*start, *(cell(variant, found) for _, cell in _figures(report)))


def _figures(report: ConversionReport) -> list[tuple[str, Cell]]:
    """The columns in which any variant has something to show."""
    ran = [(variant, variant.evidence) for variant in report.variants if variant.evidence]
    return [
        (name, cell)
        for name, cell in _all_figures(report)
        if not ran or any(cell(variant, found) for variant, found in ran)
    ]


def _all_figures(report: ConversionReport) -> Iterator[tuple[str, Cell]]:
    yield "front", lambda variant, _: "*" if variant.standing and variant.standing.front else ""
    yield "made as", lambda variant, _: "" if variant.resolved in {"", variant.id} else variant.resolved
    yield "in float", lambda variant, _: _layers(variant)
    yield "size", lambda variant, _: f"{variant.size_bytes / 1024:.1f} KB"
    if report.labelled and report.classes:
        yield "accuracy", lambda _, found: f"{found.accuracy:.2%}"
        yield "drop, 95 % bound", _drop
        yield "worst slice", _worst_slice
    if report.classes:
        yield "agreement", lambda _, found: f"{found.top1_agreement:.2%}"
    yield "max error", lambda _, found: f"{found.max_abs_error:.2g}"
    yield "SQNR", lambda _, found: f"{found.sqnr_db:.1f} dB"
    yield "p50", lambda variant, found: f"{variant.latency_ms or found.latency_p50_ms:.3f} ms"
    yield "x float", lambda variant, _: f"{variant.over_float:.2f}" if variant.over_float else ""
    yield "RAM", lambda variant, _: f"{variant.ram_mb} MB"
    if report.targets:
        yield "for", lambda variant, _: " ".join(each.target for each in variant.targets if each.suits)


def _layers(variant: VariantReport) -> str:
    parts = [
        f"{len(variant.float_layers)}" if variant.float_layers else "",
        f"int4: {len(variant.int4_layers)}" if variant.int4_layers else "",
        "" if variant.search_complete else "time was up",
    ]
    return ", ".join(filter(None, parts))


def _drop(variant: VariantReport, found: VariantEvidence) -> str:
    bound = f", {100 * variant.accuracy.drop_bound:+.2f}" if variant.accuracy else ""
    return f"{100 * found.accuracy_drop:+.2f}{bound}"


def _worst_slice(variant: VariantReport, _: VariantEvidence) -> str:
    found = variant.accuracy
    if found is None or not found.worst_slice:
        return ""
    return f"{100 * found.worst_slice_drop:+.1f} {found.worst_slice} ({found.worst_slice_rows})"
