"""The report's pictures as SVG without outside references; the same report gives the same text.

`plot_variants` shows what each variant costs and what it keeps, with the front marked; `plot_search` what was tried.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from converter.report.figures import ConversionReport, SearchReport, VariantReport

_REFERENCE: Final = "#555555"
_COLOURS: Final = (
    "#2f6f9f",
    "#c2703d",
    "#1f7a4d",
    "#7a4d9f",
    "#9f2f4d",
    "#8a7a1f",
    "#4d9f9a",
    "#555555",
    "#d08fb0",
    "#86b04a",
)
_STEPS: Final = {
    "calibration": "#2f6f9f",
    "rank": "#b9c2cc",
    "rescue": "#c2703d",
    "prune": "#1f7a4d",
    "int4": "#7a4d9f",
}


@dataclass(frozen=True, slots=True)
class Quality:
    """What is plotted upwards, and how low it may truly be: the one-sided 95 % bound."""

    value: float
    bound: float


def quality_of(report: ConversionReport) -> tuple[str, Callable[[VariantReport], Quality]]:
    """The name of the quality that this report has, and how to read it from a variant with evidence."""
    if report.labelled and report.classes:
        return "accuracy less the float model's, points", _accuracy
    return ("agreement with the float model, %", _agreement) if report.classes else ("SQNR, dB", _sqnr)


def _accuracy(variant: VariantReport) -> Quality:
    drop = variant.evidence.accuracy_drop if variant.evidence else 0.0
    return Quality(-100 * drop, -100 * (variant.accuracy.drop_bound if variant.accuracy else drop))


def _agreement(variant: VariantReport) -> Quality:
    return Quality(100 * (variant.evidence.top1_agreement if variant.evidence else 0.0), 100 * variant.agreement_bound)


def _sqnr(variant: VariantReport) -> Quality:
    value = variant.evidence.sqnr_db if variant.evidence else 0.0
    return Quality(value, value)


def plot_variants(report: ConversionReport) -> str:
    """Quality against size, latency and RAM of every variant that ran."""
    shown = [variant for variant in report.variants if variant.evidence]
    title, quality = quality_of(report)
    panels: tuple[tuple[str, Callable[[VariantReport], float]], ...] = (
        ("size, KB", lambda variant: variant.size_bytes / 1024),
        ("latency p50, ms, one thread", lambda variant: variant.latency_ms),
        ("RAM to ask of a device, MB", lambda variant: float(variant.ram_mb)),
    )

    def draw(figure: Any) -> None:
        axes = figure.subplots(1, len(panels), sharey=True)
        for axis, (name, cost) in zip(axes, panels, strict=True):
            _scatter(axis, shown, cost, quality)
            axis.set_xlabel(name)
            if quality is _accuracy:
                axis.axhline(0.0, color=_REFERENCE, linewidth=1, linestyle="--", zorder=0)
        axes[0].set_ylabel(title)
        handles, names = axes[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=6, frameon=False, fontsize=8)

    return _svg(draw, width=11.0, height=4.4)


def _scatter(
    axis: Any,
    shown: Sequence[VariantReport],
    cost: Callable[[VariantReport], float],
    quality: Callable[[VariantReport], Quality],
) -> None:
    for index, variant in enumerate(shown):
        found, colour = quality(variant), _COLOURS[index % len(_COLOURS)]
        on_front = variant.standing is not None and variant.standing.front
        axis.errorbar(
            [cost(variant)],
            [found.value],
            yerr=[[max(0.0, found.value - found.bound)], [0.0]],
            marker="o" if variant.published else "x",
            markersize=8 if on_front else 6,
            markerfacecolor=colour if on_front else "none",
            color=colour,
            elinewidth=1,
            linestyle="none",
            label=variant.id,
        )
    _clean(axis)


def plot_search(search: SearchReport) -> str:
    """SQNR against size of every trial of a search that gave figures, coloured by its step."""
    trials = [trial for trial in search.trials if not trial.error]

    def draw(figure: Any) -> None:
        axis = figure.subplots(1, 1)
        for step in dict.fromkeys(trial.step for trial in trials):
            those = [trial for trial in trials if trial.step == step]
            axis.plot(
                [trial.size_bytes / 1024 for trial in those],
                [trial.sqnr_db for trial in those],
                marker="o",
                markersize=4,
                linestyle="none",
                color=_STEPS.get(step, _REFERENCE),
                label=f"{step} ({len(those)})",
            )
        axis.set_xlabel("size, KB")
        axis.set_ylabel("SQNR on selection rows, dB")
        axis.legend(fontsize=7, frameon=False)
        _clean(axis)

    return _svg(draw, width=7.0, height=3.4)


def _clean(axis: Any) -> None:
    axis.margins(x=0.18, y=0.15)
    axis.spines[["top", "right"]].set_visible(False)


def _svg(draw: Callable[[Any], None], *, width: float, height: float) -> str:
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings = {"svg.hashsalt": "edgeferry", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
