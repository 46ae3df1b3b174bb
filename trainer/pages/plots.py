"""The pictures of an evaluation as SVG without outside references; the same figures give the same text.

matplotlib is used without pyplot, so that no window system, global state or backend is touched.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet_contract.release import SliceEvaluation
    from trainer.judging.calibration import ReliabilityBin
    from trainer.tuning.importance import PartImportance

_BLUE: Final = "#2f6f9f"
_GREY: Final = "#8a94a0"
_MOST_NAMED: Final = 30


def plot_reliability(curve: Sequence[ReliabilityBin]) -> str:
    """Accuracy over confidence with 95 % intervals; on the diagonal confidence means what it says."""
    figure, axes = _axes(4.2, 3.6)
    axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1)
    heights = [each.accuracy for each in curve]
    below = [max(0.0, each.accuracy - each.accuracy_low) for each in curve]  # rounding may leave -1e-16
    above = [max(0.0, each.accuracy_high - each.accuracy) for each in curve]
    confidences = [each.confidence for each in curve]
    axes.errorbar(confidences, heights, yerr=[below, above], fmt="o", color=_BLUE, capsize=3, markersize=4)
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.02), ylim=(0, 1.02))
    return _svg(figure)


def plot_confusion(counts: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """Truth downwards, decision to the right; each row's shares as shades, counts in cells while they fit."""
    size = min(7.0, 2.2 + 0.34 * len(labels))
    figure, axes = _axes(size, size)
    shares = [[cell / max(1, sum(row)) for cell in row] for row in counts]
    axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    if len(labels) <= _MOST_NAMED:
        _write_cells(axes, counts, shares)
        axes.set_xticks(range(len(labels)), labels, rotation=60, ha="right", fontsize=7)
        axes.set_yticks(range(len(labels)), labels, fontsize=7)
    axes.set(xlabel="decided", ylabel="true")
    return _svg(figure)


def _write_cells(axes: Any, counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> None:
    for down, row in enumerate(counts):
        for right, count in enumerate(row):
            if count:
                colour = "white" if shares[down][right] > 0.5 else "#1d242c"
                axes.text(right, down, str(count), ha="center", va="center", fontsize=6, color=colour)


def plot_slices(slices: Sequence[SliceEvaluation]) -> str:
    """Accuracy of each slice with its 95 % interval; of many slices the worst."""
    shown = sorted(slices, key=lambda part: part.accuracy)[:_MOST_NAMED]
    figure, axes = _axes(4.6, 1.0 + 0.22 * len(shown))
    values = [part.accuracy for part in shown]
    below = [part.accuracy - part.low for part in shown]
    above = [part.high - part.accuracy for part in shown]
    axes.errorbar(values, range(len(shown)), xerr=[below, above], fmt="o", color=_BLUE, capsize=2, markersize=4)
    axes.set_yticks(range(len(shown)), [f"{part.name} ({part.sample_count})" for part in shown], fontsize=7)
    axes.set(xlabel="accuracy", xlim=(0, 1.02))
    return _svg(figure)


def plot_importances(parts: Sequence[PartImportance]) -> str:
    """What shuffling each part costs."""
    shown = list(parts)[:_MOST_NAMED][::-1]
    figure, axes = _axes(4.6, 1.0 + 0.22 * len(shown))
    axes.barh(range(len(shown)), [part.accuracy_drop for part in shown], color=_BLUE)
    axes.axvline(0.0, color=_GREY, linewidth=1)
    axes.set_yticks(range(len(shown)), [part.part for part in shown], fontsize=7)
    axes.set(xlabel="accuracy lost when shuffled")
    return _svg(figure)


def _axes(width_in: float, height_in: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "matplotlib") from error
    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "edgeferry"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue().partition("?>\n")[2].partition('.dtd">\n')[2]
