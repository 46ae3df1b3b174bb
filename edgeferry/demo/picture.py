"""The picture at the end: the story's time line with each device's drift, and accuracy on the devices."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from edgeferry.demo.narrator import Narrator
    from fleet_client import FleetClient


@dataclass(frozen=True, slots=True)
class DriftLine:
    """A device's drift scores over the story; times in seconds since it began."""

    device_id: str
    at_s: tuple[float, ...]
    score: tuple[float, ...]


def draw(narrator: Narrator, lines: Sequence[DriftLine], path: Path) -> None:
    """Writes the picture as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (timeline, bars) = plt.subplots(2, 1, figsize=(11, 8), height_ratios=(3, 2), layout="constrained")
    _draw_timeline(timeline, narrator, lines)
    _draw_bars(bars, narrator)
    figure.suptitle("edgeferry: one model, five devices, four releases", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _draw_timeline(axes: Axes, narrator: Narrator, lines: Sequence[DriftLine]) -> None:
    for line in lines:
        axes.plot(line.at_s, [max(score, 0.01) for score in line.score], linewidth=1, label=line.device_id)
    axes.axhline(1.0, color="black", linestyle="--", linewidth=1)
    axes.text(0, 1.15, "threshold", fontsize=8)
    axes.set(yscale="log", xlabel="seconds", ylabel="drift score (Hotelling T² / threshold)")
    top = axes.get_ylim()[1]
    for number, act in enumerate(narrator.acts):
        axes.axvspan(act.started_s, act.ended_s, color="tab:blue", alpha=0.06 if number % 2 else 0.13, linewidth=0)
        axes.text(act.started_s, top, f" {number + 1}", fontsize=9, va="top")
    for moment in narrator.moments:
        axes.axvline(moment.at_s, color="tab:red", linewidth=0.6, alpha=0.7)
        axes.text(moment.at_s, 0.012, f" {moment.words}", rotation=90, fontsize=6.5, va="bottom")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), fontsize=8, frameon=False)


def _draw_bars(axes: Axes, narrator: Narrator) -> None:
    names = list(narrator.figures)
    values = [narrator.figures[name] for name in names]
    colours = ["tab:red" if "spoiled" in name else "tab:green" for name in names]
    bars = axes.barh(names, values, color=colours, alpha=0.75)
    axes.bar_label(bars, [f"{value:.1%}" for value in values], padding=3, fontsize=9)
    axes.set(xlim=(0, 1.08), xlabel="accuracy measured through the devices' REST APIs (mean of five)")
    axes.invert_yaxis()


def drift_lines(client: FleetClient, narrator: Narrator) -> list[DriftLine]:
    """Each device's drift scores, from the server's stored windows, on the story's clock."""
    offset_s = time.time() - narrator.now_s()
    lines = []
    for device in client.devices():
        windows = [window for window in client.windows(device=device.device_id) if window.drift_score > 0]
        windows.reverse()
        at_s = tuple(window.at.timestamp() - offset_s for window in windows)
        lines.append(DriftLine(device.device_id, at_s, tuple(window.drift_score for window in windows)))
    return lines
