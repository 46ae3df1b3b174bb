"""One telemetry window: frames are buffered as they come and summed up in bulk.

Rules: adding a frame only keeps references; the arithmetic runs once per BUFFER_FRAMES frames or BUFFER_BYTES bytes,
whichever comes first, so memory is bounded and a frame costs microseconds. No clock, no I/O.
Legend: B frames, S signals, K classes, H histograms.

Source: docs/measurements.md (drift): bulk against value at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ModelError
from fleet_contract.signals import (
    HISTOGRAM_BINS,
    HISTOGRAM_SIGNALS,
    frame_signals,
    histogram_columns,
    signal_names,
)
from fleet_contract.telemetry import LATENCY_BINS, MAX_CLASSES, latency_bins, window_dtype

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from device_agent.telemetry.board import Board
    from fleet_contract.reference_profile import ReferenceProfile

BUFFER_FRAMES: Final = 64
BUFFER_BYTES: Final = 256 * 1024  # measured: bigger buffers leave the cache and cost four times as much a frame


@dataclass(frozen=True, slots=True)
class WindowIdentity:
    """Whose frames a window sums up."""

    slot: str
    release_sha256: str
    model_version: int


class WindowSums:
    """The open window of one release in one slot."""

    def __init__(self, identity: WindowIdentity, profile: ReferenceProfile, class_count: int) -> None:
        self._identity = identity
        self._edges = _edges(profile)
        self._class_count = class_count
        names = signal_names(class_count)
        self._columns = histogram_columns(names)
        self._dtype = window_dtype(len(names), min(class_count, MAX_CLASSES))
        self._inputs: list[NDArray[np.float32]] = []
        self._scores: list[NDArray[np.float32]] = []
        self._latencies_ms: list[float] = []
        self._buffered_frames = 0
        self._buffered_bytes = 0
        self._reset()

    def add(self, input_B: NDArray[np.float32], scores_BK: NDArray[np.float32], latency_ms: float) -> None:
        """Keeps the frames of one answered request; both arrays must not change afterwards."""
        self._inputs.append(input_B)
        self._scores.append(scores_BK)
        self._latencies_ms.append(latency_ms)
        self._buffered_frames += len(input_B)
        self._buffered_bytes += input_B.nbytes + scores_BK.nbytes

    def add_error(self) -> None:
        """Counts a request in which the model failed."""
        self._errors += 1

    def add_invalid(self) -> None:
        """Counts a request with a value that is not finite."""
        self._invalid += 1

    @property
    def full(self) -> bool:
        """Whether the buffer wants to be absorbed."""
        return self._buffered_frames >= BUFFER_FRAMES or self._buffered_bytes >= BUFFER_BYTES

    @property
    def frames(self) -> int:
        """Frames and failures so far: what decides whether the window may close."""
        return self._count + self._buffered_frames + self._errors + self._invalid

    def absorb(self) -> None:
        """Sums up the buffered frames and lets go of them."""
        if not self._inputs:
            return
        inputs_B, scores_BK = np.concatenate(self._inputs), np.concatenate(self._scores)
        latencies_ms = np.asarray(self._latencies_ms, np.float64)
        self._empty_buffer()
        signals_BS = frame_signals(inputs_B, scores_BK).astype(np.float64)
        self._count += len(signals_BS)
        self._sums_S += signals_BS.sum(axis=0)
        self._squares_S += np.square(signals_BS).sum(axis=0)
        self._classes_K += _class_counts(scores_BK, len(self._classes_K))
        for row, (edges, column) in enumerate(zip(self._edges, self._columns, strict=True)):
            bins = np.searchsorted(edges, signals_BS[:, column], side="right")
            self._histograms[row] += np.bincount(bins, minlength=HISTOGRAM_BINS)
        self._latency += np.bincount(latency_bins(latencies_ms), minlength=LATENCY_BINS)

    def close(self, *, started_s: float, duration_s: float, board: Board, probation: bool) -> NDArray[np.void]:
        """The window as one record, with `seq` 0; the next window starts empty."""
        self.absorb()
        windows = np.zeros(1, self._dtype)
        window = windows[0]
        frames = max(self._count, 1)
        window["started_s"], window["duration_s"] = started_s, duration_s
        window["slot"] = self._identity.slot.encode("ascii")
        window["release"] = bytes.fromhex(self._identity.release_sha256)[:16]
        window["model_version"] = self._identity.model_version
        window["rss_mb"], window["temperature_c"] = board.rss_mb, board.temperature_c
        window["throttled"], window["probation"] = board.throttled, probation
        window["count"], window["errors"], window["invalid"] = self._count, self._errors, self._invalid
        window["means"], window["squares"] = self._sums_S / frames, self._squares_S / frames
        window["classes"] = self._classes_K
        window["histograms"] = _saturated(self._histograms)
        window["latency"] = _saturated(self._latency)
        self._reset()
        return windows

    def _reset(self) -> None:
        signal_count, class_count = self._dtype["means"].shape[0], self._dtype["classes"].shape[0]
        self._count = self._errors = self._invalid = 0
        self._sums_S = np.zeros(signal_count)
        self._squares_S = np.zeros(signal_count)
        self._classes_K = np.zeros(class_count, np.int64)
        self._histograms = np.zeros((len(HISTOGRAM_SIGNALS), HISTOGRAM_BINS), np.int64)
        self._latency = np.zeros(LATENCY_BINS, np.int64)

    def _empty_buffer(self) -> None:
        self._inputs.clear()
        self._scores.clear()
        self._latencies_ms.clear()
        self._buffered_frames = self._buffered_bytes = 0


def _edges(profile: ReferenceProfile) -> list[NDArray[np.float64]]:
    found = {histogram.signal: histogram.edges for histogram in profile.histograms}
    missing = [name for name in HISTOGRAM_SIGNALS if name not in found]
    if missing:
        raise ModelError(
            f"reference profile: got histograms of {', '.join(found) or 'nothing'}, expected also {', '.join(missing)}"
        )
    return [np.asarray(found[name], np.float64) for name in HISTOGRAM_SIGNALS]


def _class_counts(scores_BK: NDArray[np.float32], class_count: int) -> NDArray[np.int64]:
    """How often each class was on top; classes past the layout's limit are counted in its last place."""
    tops_B = np.minimum(scores_BK.argmax(axis=1), class_count - 1)
    return np.bincount(tops_B, minlength=class_count).astype(np.int64)


def _saturated(counts: NDArray[np.int64]) -> NDArray[np.uint16]:
    return np.minimum(counts, np.iinfo(np.uint16).max).astype(np.uint16)
