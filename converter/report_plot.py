"""The report's picture: size, accuracy and latency of each variant side by side, as SVG."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.report import ConversionReport, VariantReport

_PUBLISHED: Final = "#2f6f9f"
_REFUSED: Final = "#c2703d"
_REFERENCE: Final = "#555555"


def plot_svg(report: ConversionReport) -> str:
    """An SVG element without outside references; the same report gives the same text."""
    import matplotlib as mpl
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    shown = [variant for variant in report.variants if variant.evidence]
    settings = {"svg.hashsalt": "edgeferry", "svg.fonttype": "none", "font.size": 9}
    with mpl.rc_context(settings):
        figure = Figure(figsize=(9.0, 1.1 + 0.42 * max(1, len(shown))), layout="constrained")
        FigureCanvasSVG(figure)
        _draw(figure, shown, report.float_accuracy)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _draw(figure: Any, shown: Sequence[VariantReport], float_accuracy: float) -> None:
    size_panel, accuracy_panel, latency_panel = figure.subplots(1, 3, sharey=True)
    _bars(size_panel, shown, [variant.size_bytes / 1024 for variant in shown], "size, KB", "{:.1f}")
    accuracy = [100 * variant.evidence.accuracy for variant in shown if variant.evidence]
    _bars(accuracy_panel, shown, accuracy, "accuracy, % (line: float model)", "{:.2f}")
    accuracy_panel.axvline(100 * float_accuracy, color=_REFERENCE, linewidth=1, linestyle="--")
    accuracy_panel.set_xlim(*_accuracy_limits([*accuracy, 100 * float_accuracy]))
    latency = [variant.evidence.latency_p50_ms for variant in shown if variant.evidence]
    _bars(latency_panel, shown, latency, "latency p50, ms, one thread", "{:.3f}")
    size_panel.invert_yaxis()


def _accuracy_limits(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    reach = max(high - low, 1.0)
    return max(0.0, low - reach), min(101.0, high + reach)


def _bars(panel: Any, shown: Sequence[VariantReport], values: Sequence[float], title: str, form: str) -> None:
    colours = [_PUBLISHED if variant.published else _REFUSED for variant in shown]
    bars = panel.barh([variant.id for variant in shown], list(values), color=colours, height=0.62)
    panel.bar_label(bars, labels=[form.format(value) for value in values], padding=2)
    panel.set_title(title, fontsize=9, loc="left")
    panel.margins(x=0.28)
    panel.spines[["top", "right"]].set_visible(False)
