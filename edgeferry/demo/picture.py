"""The picture at the end: the story's time line with each device's drift, and accuracy on the devices."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

WIDEST_MOMENT: Final = 34
COLOURS: Final = {"spoiled": "tab:red", "training": "tab:gray"}

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

    figure, (timeline, bars) = plt.subplots(2, 1, figsize=(11, 8.5), height_ratios=(3, 2))
    figure.subplots_adjust(left=0.17, right=0.7, top=0.92, bottom=0.07, hspace=0.25)
    _draw_timeline(timeline, narrator, lines)
    _draw_bars(bars, narrator)
    moments = "\n".join(
        f"{number:>2}  {moment.at_s:4.0f} s  {_shortened(moment.words)}"
        for number, moment in enumerate(narrator.moments, 1)
    )
    figure.text(0.715, 0.72, moments, fontsize=7.5, family="monospace", va="top")
    figure.suptitle("edgeferry: one model, five devices, four releases", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _shortened(words: str) -> str:
    return words if len(words) <= WIDEST_MOMENT else f"{words[: WIDEST_MOMENT - 1]}…"


def _draw_timeline(axes: Axes, narrator: Narrator, lines: Sequence[DriftLine]) -> None:
    for line in lines:
        axes.plot(line.at_s, [max(score, 0.01) for score in line.score], ".-", linewidth=0.6, markersize=3)
    axes.legend([line.device_id for line in lines], loc="upper left", bbox_to_anchor=(1.02, 1.02), fontsize=8)
    axes.axhline(1.0, color="black", linestyle="--", linewidth=1)
    axes.text(1, 1.15, "threshold", fontsize=8)
    axes.set(yscale="log", ylim=(0.008, 2000), xlim=(0, narrator.now_s()), xlabel="seconds")
    axes.set_ylabel("drift score: Hotelling T² / threshold")
    for number, act in enumerate(narrator.acts):
        axes.axvspan(act.started_s, act.ended_s, color="tab:blue", alpha=0.06 if number % 2 else 0.13, linewidth=0)
        axes.text((act.started_s + act.ended_s) / 2, 2300, f"act {number + 1}", fontsize=8, ha="center")
    for number, moment in enumerate(narrator.moments, 1):
        axes.axvline(moment.at_s, color="tab:red", linewidth=0.6, alpha=0.7)
        axes.text(moment.at_s, 900 / 1.9 ** (number % 4), f" {number}", fontsize=8, color="tab:red")


def _draw_bars(axes: Axes, narrator: Narrator) -> None:
    names = list(narrator.figures)
    values = [narrator.figures[name] for name in names]
    colours = [next((colour for word, colour in COLOURS.items() if word in name), "tab:green") for name in names]
    bars = axes.barh(names, values, color=colours, alpha=0.75)
    axes.bar_label(bars, [f"{value:.1%}" for value in values], padding=3, fontsize=9)
    axes.set(
        xlim=(0, 1.12), xlabel="accuracy: held-out in training; on devices the mean of five, through their REST APIs"
    )
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
