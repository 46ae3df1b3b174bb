"""How values read on a page. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.deployment import FAILURES, SUCCEEDED, DeploymentState
from fleet_contract.rollout import RolloutState, StageState

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

TONE: Final[dict[str, str]] = {
    **{state.value: "good" for state in SUCCEEDED},
    **{state.value: "bad" for state in FAILURES},
    DeploymentState.ROLLING_BACK.value: "bad",
    DeploymentState.CANCELED.value: "still",
    DeploymentState.SUPERSEDED.value: "still",
    DeploymentState.IDLE.value: "still",
    DeploymentState.QUEUED.value: "still",
    DeploymentState.REMOVED.value: "still",
    RolloutState.COMPLETED.value: "good",
    RolloutState.ABORTED.value: "bad",
    RolloutState.PAUSED.value: "warn",
    StageState.PASSED.value: "good",
    StageState.PENDING.value: "still",
    StageState.SKIPPED.value: "still",
    "info": "still",
    "warning": "warn",
    "critical": "bad",
    "open": "warn",
    "done": "good",
}
"""The colour family of a state's word; what is not here is at work."""

STEPS_S: Final = ((60, "second", 1), (3600, "minute", 60), (86400, "hour", 3600), (float("inf"), "day", 86400))


def tone(word: str) -> str:
    """`good`, `bad`, `warn`, `still` or `busy`: how a state is coloured, beside its word."""
    return TONE.get(str(word), "busy")


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago in the largest whole unit, for instance `3 minutes ago`."""
    if at is None:
        return "never"
    seconds = max(0.0, (now - at).total_seconds())
    if seconds < 2:
        return "just now"
    unit, size = next((unit, size) for limit, unit, size in STEPS_S if seconds < limit)
    count = int(seconds // size)
    return f"{count} {unit}{'' if count == 1 else 's'} ago"


def size(size_bytes: int) -> str:
    """A size in bytes, kB, MB or GB with three digits."""
    value = float(size_bytes)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:.3g} {unit}" if unit != "B" else f"{size_bytes} B"
        value /= 1000
    raise AssertionError


def percent(fraction: float) -> str:
    """A fraction in percent with one decimal."""
    return f"{100 * fraction:.1f} %"


def bars(counts: Mapping[str, int], total: int) -> list[tuple[str, float, float, int]]:
    """(tone, start in percent, width in percent, count) of each segment of a stage's progress bar."""
    by_tone: dict[str, int] = {}
    for word, count in counts.items():
        by_tone[tone(word)] = by_tone.get(tone(word), 0) + count
    segments, start = [], 0.0
    for name in ("good", "bad", "warn", "busy", "still"):
        count = by_tone.get(name, 0)
        if count and total:
            width = 100.0 * count / total
            segments.append((name, start, width, count))
            start += width
    return segments


def sparkline(values: list[float], *, width: float = 100.0, height: float = 24.0) -> str:
    """The `points` of an SVG polyline through `values`, oldest first, from 0 to their maximum."""
    if not values:
        return ""
    top = max(*values, 1e-9) if len(values) > 1 else max(values[0], 1e-9)
    step = width / max(1, len(values) - 1)
    return " ".join(f"{index * step:.1f},{height - height * value / top:.1f}" for index, value in enumerate(values))
