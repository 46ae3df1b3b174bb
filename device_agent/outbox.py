"""Messages that must reach the server: numbered, durable, deleted only once the broker has them.

Rules: `seq` only grows, over restarts too. When the store's bound is passed, telemetry windows go first (see
`spool`); only then the oldest messages, and each one that is lost so is counted and logged.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from fleet_contract.codec import encode
from fleet_contract.topics import DeviceTopic

if TYPE_CHECKING:
    import sqlite3

    from fleet_contract.messages import CommandResult, Event, SecurityReport

_log = logging.getLogger(__name__)


class Waiting(NamedTuple):
    """One message that waits for the broker."""

    seq: int
    topic: DeviceTopic
    payload: bytes


class Outbox:
    """The queue of one state file. Writes happen inside the store's transaction."""

    def __init__(self, database: sqlite3.Connection, max_bytes: int) -> None:
        self._database = database
        self._max_bytes = max_bytes
        self.recount()

    def recount(self) -> None:
        """Reads the counters from the file; after a transaction that was rolled back, too."""
        row = self._database.execute("SELECT coalesce(sum(length(payload)), 0) FROM outbox").fetchone()
        self.size_bytes = int(row[0])
        self.last_seq = self._counter("seq")
        self.dropped = self._counter("dropped_messages")

    def add(self, message: Event | SecurityReport) -> int:
        """Numbers and keeps an event; returns its seq."""
        seq = self.last_seq + 1
        self._keep(seq, DeviceTopic.EVENT, encode(replace(message, seq=seq)))
        return seq

    def add_result(self, result: CommandResult) -> None:
        """Keeps the answer to a command."""
        self._keep(self.last_seq + 1, DeviceTopic.COMMAND_RESULT, encode(result))

    def oldest(self, limit: int) -> list[Waiting]:
        """The first messages, in order."""
        rows = self._database.execute("SELECT seq, topic, payload FROM outbox ORDER BY seq LIMIT ?", (limit,))
        return [Waiting(seq, DeviceTopic(topic), bytes(payload)) for seq, topic, payload in rows]

    def remove(self, waiting: list[Waiting]) -> None:
        """The broker has these."""
        for message in waiting:
            deleted = self._database.execute("DELETE FROM outbox WHERE seq = ?", (message.seq,)).rowcount
            self.size_bytes -= len(message.payload) * deleted

    def excess_bytes(self, other_bytes: int) -> int:
        """By how much the outbox and `other_bytes` together pass the bound."""
        return max(self.size_bytes + other_bytes - self._max_bytes, 0)

    def shrink(self, other_bytes: int) -> None:
        """Drops the oldest messages while the bound is passed, and counts them."""
        dropped: list[Waiting] = []
        while self.excess_bytes(other_bytes) and (oldest := self.oldest(1)):
            self.remove(oldest)
            dropped += oldest
        if dropped:
            self.dropped += len(dropped)
            self._set_counter("dropped_messages", self.dropped)
            _log.error("outbox full: dropped=%d in_all=%d first_seq=%d", len(dropped), self.dropped, dropped[0].seq)

    def _keep(self, seq: int, topic: DeviceTopic, payload: bytes) -> None:
        self._database.execute("INSERT INTO outbox VALUES (?, ?, ?)", (seq, topic.value, payload))
        self._set_counter("seq", seq)
        self.last_seq = seq
        self.size_bytes += len(payload)

    def _counter(self, key: str) -> int:
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return int(bytes(row[0])) if row else 0

    def _set_counter(self, key: str, value: int) -> None:
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, str(value).encode()))
