"""The drift monitor over the database: each window is examined once, in one transaction with all that follows.

A window either joins its device's baseline, or is scored against it, or is passed over (on probation, too few
frames, an unknown release or layout). What a restart must not forget is stored: baselines, the last p-values of
each device, who is drifted. Alerts are raised when devices begin to drift, not again while they go on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.signals import signal_names
from fleet_server.ingest import record_means
from fleet_server.monitors.baseline import DeviceBaseline, tiers
from fleet_server.monitors.drift import Calibrated, calibrate, score
from fleet_server.monitors.verdicts import Verdicts
from fleet_server.storage import windows as rows

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection, Row

    from fleet_server.settings import MonitoringSettings
    from fleet_server.storage.database import Database

MAX_WINDOWS: Final = 2000
MAX_POOLED: Final = 500
MAX_CACHED: Final = 64

Stream = tuple[str, str, str]
"""(device, slot, release): windows that belong together."""


@dataclass(slots=True)
class Examined:
    """What came of a stream's new windows: scores by window id, and the p-values of each tier in order."""

    last: Any
    ratios: dict[int, float] = field(default_factory=dict)
    input_p: list[float] = field(default_factory=list)
    model_p: list[float] = field(default_factory=list)


class DriftMonitor:
    """Examines what ingest has stored."""

    def __init__(self, database: Database, verdicts: Verdicts, settings: MonitoringSettings) -> None:
        self._database = database
        self._verdicts = verdicts
        self._settings = settings
        self._calibrated: dict[str, tuple[int, tuple[Calibrated | None, Calibrated | None]]] = {}

    def evaluate(self) -> int:
        """Examines the windows that wait, at most MAX_WINDOWS; how many those were."""
        with self._database.transaction() as connection:
            waiting = rows.unexamined(connection, MAX_WINDOWS)
            if not waiting:
                return 0
            streams = [self._examine(connection, stream, each) for stream, each in _by_stream(waiting)]
            drifted = self._verdicts.update(connection, streams)
            scores: list[dict[str, object]] = [
                {"window_id": window_id, "score": ratio, "is_drifted": (each.last.device_id, each.last.slot) in drifted}
                for each in streams
                for window_id, ratio in each.ratios.items()
            ]
            rows.put_scores(connection, scores)
        return len(waiting)

    def _examine(self, connection: Connection, stream: Stream, waiting: list[Row[Any]]) -> Examined:
        examined = Examined(waiting[-1], dict.fromkeys((row.id for row in waiting), 0.0))
        pairs = [(row, _means(row)) for row in waiting]
        usable = [(row, means_S) for row, means_S in pairs if self._fits(row, means_S)]
        if not usable:
            return examined
        stored = rows.find_baseline(connection, *stream)
        rest = usable
        if stored is None or not stored.complete:
            rest = self._grow_baseline(connection, stream, stored, usable)
        if rest:
            self._score(connection, stream, rest, examined)
        return examined

    def _fits(self, row: Row[Any], means_S: NDArray[np.float64]) -> bool:
        return bool(
            row.model
            and not row.probation
            and row.frames >= self._settings.min_frames
            and len(signal_names(row.class_count)) == row.signal_count
            and np.isfinite(means_S).all()
        )

    def _grow_baseline(
        self,
        connection: Connection,
        stream: Stream,
        stored: Row[Any] | None,
        usable: list[tuple[Row[Any], NDArray[np.float64]]],
    ) -> list[tuple[Row[Any], NDArray[np.float64]]]:
        """Adds windows to the baseline until it is whole; those that were not needed."""
        first, _ = usable[0]
        have = stored.window_count if stored is not None else 0
        taken = usable[: self._settings.baseline_windows - have]
        counts = np.array([row.frames for row, _ in taken], np.float64).tobytes()
        means = np.stack([means_S for _, means_S in taken]).tobytes()
        device_id, slot, release = stream
        values: dict[str, object] = {
            "device_id": device_id,
            "slot": slot,
            "release": release,
            "signal_count": first.signal_count,
            "class_count": first.class_count,
            "window_count": have + len(taken),
            "counts": (stored.counts if stored is not None else b"") + counts,
            "means": (stored.means if stored is not None else b"") + means,
            "complete": have + len(taken) >= self._settings.baseline_windows,
        }
        rows.put_baseline(connection, values)
        return usable[len(taken) :]

    def _score(
        self,
        connection: Connection,
        stream: Stream,
        rest: list[tuple[Row[Any], NDArray[np.float64]]],
        examined: Examined,
    ) -> None:
        stored = rows.find_baseline(connection, *stream)
        calibrated = self._calibration(connection, stream[2])
        if stored is None or not any(calibrated):
            return
        baseline = _baseline(stored)
        means_NS = np.stack([means_S for _, means_S in rest])
        counts_N = np.array([row.frames for row, _ in rest], np.float64)
        for each, p_values in zip(calibrated, (examined.input_p, examined.model_p), strict=True):
            if each is None:
                continue
            scores = score(each, baseline, means_NS, counts_N)
            p_values.extend(scores.p_N.tolist())
            for (row, _), ratio in zip(rest, scores.ratio_N.tolist(), strict=True):
                examined.ratios[row.id] = max(examined.ratios[row.id], ratio)

    def _calibration(self, connection: Connection, release: str) -> tuple[Calibrated | None, Calibrated | None]:
        """The release's two tiers, fitted again when another baseline has become whole."""
        count = min(rows.count_complete_baselines(connection, release), MAX_POOLED)
        known = self._calibrated.get(release)
        if known is not None and known[0] == count:
            return known[1]
        stored = rows.complete_baselines(connection, release, MAX_POOLED)
        baselines = [_baseline(row) for row in stored]
        rate = self._settings.false_alarm_rate
        both: tuple[Calibrated | None, Calibrated | None] = (None, None)
        if stored:
            inputs, outputs = tiers(stored[0].class_count)
            both = (calibrate(baselines, inputs, rate), calibrate(baselines, outputs, rate))
        if len(self._calibrated) >= MAX_CACHED:
            self._calibrated.clear()
        self._calibrated[release] = (count, both)
        return both


def _by_stream(waiting: Iterable[Row[Any]]) -> list[tuple[Stream, list[Row[Any]]]]:
    """The windows of each stream in the order in which they came; streams of one slot in that order too."""
    ordered = sorted(waiting, key=lambda row: (row.device_id, row.slot))
    groups = groupby(ordered, key=lambda row: (row.device_id, row.slot, row.release))
    return [(stream, list(group)) for stream, group in groups]


def _means(row: Row[Any]) -> NDArray[np.float64]:
    return record_means(row.record, row.signal_count, row.class_count)


def _baseline(stored: Row[Any]) -> DeviceBaseline:
    counts_N = np.frombuffer(stored.counts, np.float64)
    means_NS = np.frombuffer(stored.means, np.float64).reshape(len(counts_N), stored.signal_count)
    return DeviceBaseline(means_NS, counts_N)
