"""The agent: serves first, then connects, then does what signed documents ask for; all of it survives a power cut.

agent = Agent(surroundings)
await agent.run(stop)           # until `stop` is set; then hosts are closed and the broker is told goodbye
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from device_agent.commands import Commands
from device_agent.faults import RefusedError
from device_agent.intake import DESIRED, Intake
from device_agent.machine import crashed, want
from device_agent.presence import ServerPresence
from device_agent.reporter import Reporter
from device_agent.serving import SlotServing
from device_agent.slot_record import SlotRecord
from device_agent.slot_runner import STORAGE_RETRY_S, SlotRunner
from device_agent.slot_steps import SlotSteps
from fleet_contract.codec import decode
from fleet_contract.desired import Desired, TelemetryPolicy
from fleet_contract.errors import EdgeferryError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.slot_steps import Decide
    from device_agent.surroundings import Surroundings
    from fleet_contract.desired import SlotDesired

CLEAN: Final = "clean_end"
MAX_SLOTS: Final = 8
CANCEL_AGAIN_S: Final = 5.0

_log = logging.getLogger(__name__)


class Agent:
    """One device's control plane."""

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._telemetry = TelemetryPolicy()
        self._sampling_allowed = False
        self._runners: dict[str, SlotRunner] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = asyncio.Event()
        self._presence = ServerPresence(around.link, around.server)
        self._reporter = Reporter(around, lambda: list(self._runners.values()), lambda: self._telemetry.publish_every_s)
        self._commands = Commands(
            around,
            runner_of=self._runners.get,
            sampling_allowed=lambda: self._sampling_allowed,
            changed=self._reporter.changed,
        )
        self._intake = Intake(around, self._presence, on_desired=self._take_desired, on_command=self._commands.take)

    @property
    def runners(self) -> dict[str, SlotRunner]:
        """The slots by name."""
        return self._runners

    async def run(self, stop: asyncio.Event) -> None:
        """Works until `stop` is set.

        Raises:
            EdgeferryError: the state cannot be read or written any more; a service starts the agent again.
        """
        clean = self._begin()
        desired = self._last_desired()
        self._apply_policies(desired)
        for record in self._around.store.slots().values():
            self._add_runner(record, clean=clean)
        for work in (
            self._intake.run,
            self._reporter.report_changes,
            self._reporter.send_telemetry,
            self._refresh_trust,
        ):
            self._start(_despite_storage(work))
        link = self._start(self._around.link.run(self._reporter.greet, self._intake.hear))
        if desired is not None:
            self._take_desired(desired)
        try:
            await _first(stop, self._failed)
        finally:
            await self._end(link)
        self._raise_failure()

    def _begin(self) -> bool:
        store = self._around.store
        clean = store.meta(CLEAN) == "yes"
        with store.transaction():
            store.set_meta(CLEAN, "no")
        return clean

    async def _end(self, link: asyncio.Task[None]) -> None:
        """Hosts first, so that their last windows are kept; the broker hears goodbye at the end."""
        self._failures = [task.exception() for task in self._tasks if task.done() and not task.cancelled()]
        await self._commands.close()
        await _cancel(self._tasks - {link})
        for runner in self._runners.values():
            await runner.serving.stop()
        await _cancel({link})
        with self._around.store.transaction():
            self._around.store.set_meta(CLEAN, "no" if any(self._failures) else "yes")

    def _raise_failure(self) -> None:
        for failure in self._failures:
            if failure is not None:
                raise failure

    def _last_desired(self) -> Desired | None:
        data = self._around.store.meta_bytes(DESIRED)
        return decode(data, Desired) if data else None

    def _take_desired(self, desired: Desired) -> None:
        """A document that holds and is persisted; taking it twice changes nothing."""
        self._apply_policies(desired)
        for slot in desired.slots[:MAX_SLOTS]:
            runner = self._runners.get(slot.slot)
            if runner is None:
                record = SlotRecord(slot=slot.slot, since=self._around.clock.now())
                runner = self._add_runner(record, clean=True)
            runner.offer(_wanting(slot))
        self._reporter.changed()

    def _apply_policies(self, desired: Desired | None) -> None:
        if desired is None:
            return
        self._sampling_allowed = desired.sampling_allowed
        if desired.telemetry != self._telemetry:
            self._telemetry = desired.telemetry
            for runner in self._runners.values():
                runner.serving.set_telemetry(self._telemetry)
            self._reporter.hurry_telemetry()

    def _add_runner(self, record: SlotRecord, *, clean: bool) -> SlotRunner:
        name = record.slot

        def on_crash(crashes: int) -> None:
            _log.error("host crashed slot=%s crashes=%d", name, crashes)
            self._offer(name, crashed)

        serving = SlotServing(self._around, name, self._telemetry, on_windows=self._keep_windows, on_crash=on_crash)
        steps = SlotSteps(self._around, serving, self._presence)
        runner = SlotRunner(
            self._around,
            record,
            serving,
            steps,
            changed=self._reporter.changed,
            collect_garbage=self._collect_garbage,
        )
        self._runners[name] = runner
        self._start(runner.run(clean=clean))
        return runner

    def _offer(self, slot: str, decide: Decide) -> None:
        self._runners[slot].offer(decide)

    def _keep_windows(self, windows: NDArray[np.void]) -> None:
        try:
            with self._around.store.transaction():
                self._around.store.spool.add(windows)
        except StorageError as error:
            _log.error("telemetry lost windows=%d error=%s", len(windows), error.message)

    def _collect_garbage(self) -> None:
        removed = self._around.files.collect_garbage([runner.record for runner in self._runners.values()])
        if removed:
            _log.info("garbage collected files=%d", len(removed))

    async def _refresh_trust(self) -> None:
        """Learns of revoked directors and of its metadata's age without being asked, until canceled."""
        while True:
            await asyncio.sleep(self._around.config.refresh_every_s * self._around.rng.uniform(0.9, 1.1))
            try:
                await self._around.trust.refresh()
            except RefusedError as error:
                self._around.ledger.report(error)
            except EdgeferryError as error:
                _log.warning("metadata not refreshed error=%s", error.message)
            self._reporter.changed()

    def _start(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._notice_failure)
        return task

    def _notice_failure(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            _log.critical("agent task broke", exc_info=task.exception())
            self._failed.set()


def _wanting(slot: SlotDesired) -> Decide:
    return lambda record, now: want(record, slot, now)


async def _despite_storage(work: Callable[[], Coroutine[None, None, None]]) -> None:
    """Runs a loop; a full disk makes it pause and begin again, because serving must go on."""
    while True:
        try:
            await work()
        except StorageError as error:
            _log.error("state not writable error=%s", error.message)
            await asyncio.sleep(STORAGE_RETRY_S)


async def _first(*events: asyncio.Event) -> None:
    """Until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(waits)


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    """Ends tasks for good: one that missed its cancellation (a library swallowed it) is canceled again."""
    pending = {task for task in tasks if not task.done()}
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)
