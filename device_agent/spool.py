"""Telemetry windows that wait for the network: numbered, durable, bounded; the oldest go first and are counted."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from fleet_contract.telemetry import MAX_WINDOWS, encode_batch, window_dtype

if TYPE_CHECKING:
    import sqlite3

    from numpy.typing import NDArray

MAX_BATCH_BYTES: Final = 64 * 1024

_log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """One telemetry message and the windows that it holds."""

    payload: bytes
    seqs: tuple[int, ...]


class WindowSpool:
    """The windows of one state file. Writes happen inside the store's transaction."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database
        self.recount()

    def recount(self) -> None:
        """Reads the counters from the file."""
        row = self._database.execute("SELECT coalesce(sum(length(record)), 0), coalesce(max(seq), 0) FROM window")
        self.size_bytes, newest = (int(each) for each in row.fetchone())
        self._last_seq = max(self._counter("window_seq"), newest)
        self.dropped = self._counter("dropped_windows")

    def add(self, windows: NDArray[np.void]) -> None:
        """Numbers and keeps `windows`, which share one `window_dtype`; the array itself is not changed."""
        numbered = windows.copy()
        numbered["seq"] = self._last_seq + 1 + np.arange(len(windows))
        signals, classes = windows.dtype["means"].shape[0], windows.dtype["classes"].shape[0]
        rows = [(int(window["seq"]), signals, classes, window.tobytes()) for window in numbered]
        self._database.executemany("INSERT INTO window VALUES (?, ?, ?, ?)", rows)
        self._last_seq += len(windows)
        self._set_counter("window_seq", self._last_seq)
        self.size_bytes += windows.nbytes

    def next_batch(self) -> Batch | None:
        """The oldest windows that fit one message: of one model, at most MAX_BATCH_BYTES; None when none waits."""
        first = self._database.execute("SELECT signals, classes FROM window ORDER BY seq LIMIT 1").fetchone()
        if first is None:
            return None
        dtype = window_dtype(*first)
        limit = max(1, min(MAX_WINDOWS, MAX_BATCH_BYTES // dtype.itemsize))
        rows = self._database.execute(
            "SELECT seq, record FROM window WHERE signals = ? AND classes = ? ORDER BY seq LIMIT ?", (*first, limit)
        ).fetchall()
        windows = np.frombuffer(b"".join(bytes(record) for _, record in rows), dtype)
        return Batch(encode_batch(windows), tuple(seq for seq, _ in rows))

    def remove(self, batch: Batch) -> None:
        """The broker has these."""
        self._delete(batch.seqs)

    def shrink(self, excess_bytes: int) -> None:
        """Drops the oldest windows until `excess_bytes` are free or none is left, and counts them."""
        if excess_bytes <= 0 or self.size_bytes == 0:
            return
        doomed: list[int] = []
        rows = self._database.execute("SELECT seq, length(record) FROM window ORDER BY seq")
        for seq, size_bytes in rows:
            doomed.append(int(seq))
            excess_bytes -= int(size_bytes)
            if excess_bytes <= 0:
                break
        self._delete(tuple(doomed))
        self.dropped += len(doomed)
        self._set_counter("dropped_windows", self.dropped)
        _log.warning("telemetry spool full: dropped=%d in_all=%d", len(doomed), self.dropped)

    def _delete(self, seqs: tuple[int, ...]) -> None:
        self._database.executemany("DELETE FROM window WHERE seq = ?", [(seq,) for seq in seqs])
        row = self._database.execute("SELECT coalesce(sum(length(record)), 0) FROM window").fetchone()
        self.size_bytes = int(row[0])

    def _counter(self, key: str) -> int:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(bytes(row[0])) if row else 0

    def _set_counter(self, key: str, value: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value).encode()))
