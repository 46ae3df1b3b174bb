"""From the connection's thread into the database: a bounded queue, and many messages to one commit.

Rules: a message is acknowledged after the commit that holds it, never before; a malformed one is counted, logged
and dropped, and never hinders another; when the database fails, the batch is tried again with full jitter, capped.
"""

from __future__ import annotations

import logging
import queue
import random
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ContractError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet_server.gateway.link import Incoming
    from fleet_server.gateway.routing import Routing
    from fleet_server.settings import IngestSettings
    from fleet_server.storage.database import Database

log = logging.getLogger(__name__)

OFFER_TIMEOUT_S: Final = 5.0
MAX_TRIES: Final = 8
MAX_DELAY_S: Final = 5.0
LOGGED_BYTES: Final = 80


class Intake:
    """Takes messages to `routing`, in one thread."""

    def __init__(
        self,
        database: Database,
        routing: Routing,
        acknowledge: Callable[[Incoming], None],
        settings: IngestSettings,
        rng: random.Random | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(("taken", "malformed", "overflow", "failed"), 0))
        """Messages taken, and dropped for being malformed, for a full queue, or for a database that stays down."""
        self._database = database
        self._routing = routing
        self._acknowledge = acknowledge
        self._settings = settings
        self._rng = rng or random.Random()  # noqa: S311 -- jitter, not a secret
        self._queue: queue.Queue[Incoming] = queue.Queue(settings.queue_messages)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-intake", daemon=True)

    def start(self) -> None:
        """Begins to take messages."""
        self._thread.start()

    def stop(self) -> None:
        """Takes what waits and ends."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)

    def offer(self, message: Incoming) -> None:
        """Queues a message; holds the connection up while the queue is full, and drops it in the end."""
        try:
            self._queue.put(message, timeout=OFFER_TIMEOUT_S)
        except queue.Full:
            self.counts["overflow"] += 1
            log.warning("gateway-queue-full dropped topic=%s", message.topic)

    def _run(self) -> None:
        while True:
            batch = self._gather()
            if batch:
                self._store(batch)
            elif self._stopping.is_set():
                return

    def _gather(self) -> list[Incoming]:
        """The messages of one commit: what came within `flush_s` of the first, at most `flush_messages`."""
        try:
            batch = [self._queue.get(timeout=0.1)]
        except queue.Empty:
            return []
        end_s = time.monotonic() + self._settings.flush_s
        while len(batch) < self._settings.flush_messages:
            try:
                batch.append(self._queue.get(timeout=max(0.0, end_s - time.monotonic())))
            except queue.Empty:
                break
        return batch

    def _store(self, batch: list[Incoming]) -> None:
        for attempt in range(1, MAX_TRIES + 1):
            try:
                self._commit(batch)
            except StorageError as error:
                log.warning("gateway-storage attempt=%d problem=%s", attempt, error.message)
                if self._stopping.wait(self._rng.uniform(0.0, min(MAX_DELAY_S, 0.1 * 2**attempt))):
                    break
            except Exception:
                log.exception("gateway-batch-failed messages=%d; taking them one by one", len(batch))
                self._store_singly(batch)
                return
            else:
                return
        self.counts["failed"] += len(batch)
        log.critical("gateway-gave-up messages=%d; they stay unacknowledged", len(batch))

    def _store_singly(self, batch: list[Incoming]) -> None:
        """One of them broke the commit of all: each gets its own, and the broken one is dropped."""
        for message in batch:
            try:
                self._commit([message])
            except Exception:
                self.counts["failed"] += 1
                log.exception("gateway-message-failed topic=%s bytes=%d", message.topic, len(message.payload))
                self._acknowledge(message)

    def _commit(self, batch: list[Incoming]) -> None:
        malformed = 0
        with self._database.transaction() as connection:
            for message in batch:
                try:
                    self._routing.take(message.topic, message.payload, connection)
                except ContractError as error:
                    malformed += 1
                    start = message.payload[:LOGGED_BYTES]
                    log.warning("gateway-malformed topic=%s problem=%s start=%r", message.topic, error.message, start)
        self.counts["malformed"] += malformed
        self.counts["taken"] += len(batch) - malformed
        for message in batch:
            self._acknowledge(message)
