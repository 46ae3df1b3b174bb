"""What goes to the broker: the full state on every change and connect, the outbox, telemetry in batches.

A message leaves the state file only once the broker has acknowledged it; what breaks off is sent again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_agent.intake import DESIRED_REV
from device_agent.link import pause_limit_s
from fleet_contract.codec import encode
from fleet_contract.errors import UnreachableError
from fleet_contract.messages import Reported
from fleet_contract.topics import DeviceTopic

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from device_agent.slot_runner import SlotRunner
    from device_agent.surroundings import Surroundings

DRAIN_BATCH: Final = 20

_log = logging.getLogger(__name__)


class Reporter:
    """Publishes for one agent.

    Args:
        around: what the agent shares.
        runners: the slots as they are now.
        publish_every_s: asked before each round of telemetry, so that a new policy counts at once.
    """

    def __init__(
        self, around: Surroundings, runners: Callable[[], list[SlotRunner]], publish_every_s: Callable[[], float]
    ) -> None:
        self._around = around
        self._runners = runners
        self._publish_every_s = publish_every_s
        self._changed = asyncio.Event()
        self._telemetry_due = asyncio.Event()

    def changed(self) -> None:
        """Something is worth reporting."""
        self._changed.set()

    def hurry_telemetry(self) -> None:
        """The policy changed: the next round need not wait for the end of the old period."""
        self._telemetry_due.set()

    async def greet(self) -> None:
        """Tells a broker that we just connected to what this device is; the rest follows from `changed`."""
        await self._around.link.publish(DeviceTopic.PROFILE, encode(self._around.profile))
        self.changed()

    async def report_changes(self) -> None:
        """Publishes events, then the state, whenever something changed, until canceled.

        What does not get through is tried again after a pause that doubles up to a minute, with jitter.
        """
        failures = 0
        while True:
            await self._wait_for_change(failures)
            if not self._around.link.connected:
                failures = 0
                continue  # the next connect greets, and so comes back here
            delivered = [await self._try(self._drain_outbox), await self._try(self._publish_state)]
            failures = 0 if all(delivered) else failures + 1

    async def _wait_for_change(self, failures: int) -> None:
        limit_s = pause_limit_s(failures) if failures else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s and self._around.rng.uniform(0.5 * limit_s, limit_s)):
                await self._changed.wait()
        self._changed.clear()

    async def _try(self, send: Callable[[], Awaitable[None]]) -> bool:
        """Whether it was delivered; events that nobody takes now must not hold back the retained state."""
        try:
            await send()
        except UnreachableError as error:
            _log.warning("report waits error=%s", error.message)
            return False
        return True

    async def _publish_state(self) -> None:
        await self._around.link.publish(DeviceTopic.REPORTED, encode(self.reported()))

    async def send_telemetry(self) -> None:
        """Publishes windows every so often, until canceled."""
        while True:
            try:
                async with asyncio.timeout(self._publish_every_s()):
                    await self._telemetry_due.wait()
            except TimeoutError:
                pass
            else:
                self._telemetry_due.clear()
                continue
            if self._around.link.connected:
                await self._send_windows()
                self.changed()

    def reported(self) -> Reported:
        """The full state as it is now."""
        around, runners = self._around, self._runners()
        now = around.clock.now()
        checked_at = around.trust.checked_at
        return Reported(
            seq=around.store.outbox.last_seq,
            at=now,
            desired_rev=int(around.store.meta(DESIRED_REV, "0")),
            slots=tuple(runner.record.report(runner.serving.port) for runner in runners),
            metadata_age_s=max((now - checked_at).total_seconds(), 0.0) if checked_at else 0.0,
            agent_rss_mb=resident_mb(),
            host_rss_mb=sum(runner.serving.rss_mb() for runner in runners),
        )

    async def _drain_outbox(self) -> None:
        store = self._around.store
        while waiting := store.outbox.oldest(DRAIN_BATCH):
            for message in waiting:
                await self._around.link.publish(message.topic, message.payload)
            with store.transaction():
                store.outbox.remove(waiting)

    async def _send_windows(self) -> None:
        store = self._around.store
        try:
            while batch := store.spool.next_batch():
                await self._around.link.publish(DeviceTopic.TELEMETRY, batch.payload)
                with store.transaction():
                    store.spool.remove(batch)
        except UnreachableError as error:
            _log.warning("telemetry waits error=%s", error.message)


def resident_mb(statm: Path = Path("/proc/self/statm")) -> float:
    """Resident memory of this process; 0 where the system does not tell."""
    try:
        pages = int(statm.read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
