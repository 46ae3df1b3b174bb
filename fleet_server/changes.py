"""What changed, told inside this process: the stream of events, the rollout engine and the gateway wake up by it.

    changes.publish("device", "pi-1")                # from any thread
    async with changes.subscribe() as news:          # from any event loop
        async for change in news: ...

Rules: publishing never blocks and never fails; a subscriber that is too slow loses the oldest changes and is told
so by `lost`, after which it must look at everything. Nothing here is durable: the database is the truth.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

QUEUE_LIMIT: Final = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed: `kind` is a word such as `device`, `desired`, `rollout`, `alert`; `id` names it."""

    kind: str
    id: str


class Subscription:
    """A bounded queue of changes for one reader. Iterate it, or `take` with a time limit."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self.lost = 0
        """How many changes this reader has missed for being slow."""
        self._closed = False
        self._loop = loop
        self._queue: deque[Change] = deque()
        self._limit = limit
        self._lock = threading.Lock()
        self._ready = asyncio.Event()

    def offer(self, change: Change) -> None:
        """Adds a change; drops the oldest where the queue is full. For any thread."""
        with self._lock:
            if len(self._queue) >= self._limit:
                self._queue.popleft()
                self.lost += 1
            self._queue.append(change)
        self._wake()

    def close(self) -> None:
        """Ends the subscription: the reader gets what waits and then nothing more. For any thread."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._ready.set)
        except RuntimeError:
            self._closed = True  # the reader's loop is gone, and the reader with it

    async def take(self, timeout_s: float | None = None) -> list[Change]:
        """All changes that wait; none once `timeout_s` has passed without one, or the subscription has ended."""
        if self._closed and not self._queue:
            return []
        try:
            await asyncio.wait_for(self._ready.wait(), timeout_s)
        except TimeoutError:
            return []
        self._ready.clear()
        with self._lock:
            taken = list(self._queue)
            self._queue.clear()
        return taken

    async def __aiter__(self) -> AsyncIterator[Change]:
        """Each change as it comes, until the subscription ends."""
        while not (self._closed and not self._queue):
            for change in await self.take():
                yield change


class Changes:
    """In-process publish and subscribe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: list[Subscription] = []
        self._listeners: list[Callable[[Change], None]] = []
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the server is stopping: readers then leave."""
        return self._closed

    @property
    def subscribers(self) -> int:
        """How many subscriptions there are."""
        return len(self._subscriptions)

    def close(self) -> None:
        """Wakes every reader up for the last time."""
        with self._lock:
            self._closed = True
            subscriptions = list(self._subscriptions)
        for subscription in subscriptions:
            subscription.close()

    def publish(self, kind: str, id: str) -> None:  # noqa: A002 -- `id` is the word on the wire and in the contract
        """Tells every subscriber. For any thread; call it after the commit, not before."""
        change = Change(kind, id)
        with self._lock:
            subscriptions, listeners = list(self._subscriptions), list(self._listeners)
        for listener in listeners:
            listener(change)
        for subscription in subscriptions:
            subscription.offer(change)

    def listen(self, listener: Callable[[Change], None]) -> None:
        """Has `listener` called on each change, in the publisher's thread: it must be quick and must not fail."""
        with self._lock:
            self._listeners.append(listener)

    @asynccontextmanager
    async def subscribe(self, limit: int = QUEUE_LIMIT) -> AsyncIterator[Subscription]:
        """A subscription that ends with the context."""
        subscription = Subscription(asyncio.get_running_loop(), limit)
        with self._lock:
            self._subscriptions.append(subscription)
            if self._closed:
                subscription.close()
        try:
            yield subscription
        finally:
            with self._lock:
                self._subscriptions.remove(subscription)
