"""Runs one slot: serve first, then carry its deployment from action to action, persisting before each.

What comes from outside (a desired document, a cancel, a crash) is a decision put into the inbox. It interrupts the
action under way when it changes the state; moving the pointer and moving it back are not interrupted.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Final

from device_agent.faults import describe
from device_agent.machine import RESTING, Course, Step, fell_back, happen, resume
from fleet_contract.deployment import (
    CHANGED,
    TERMINAL,
    DeploymentAction,
    DeploymentEvent,
    DeploymentState,
)
from fleet_contract.errors import ContractError, EdgeferryError, ModelError, StorageError
from fleet_contract.messages import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_agent.serving import SlotServing
    from device_agent.slot_record import SlotRecord
    from device_agent.slot_steps import Decide, SlotSteps
    from device_agent.surroundings import Surroundings
    from fleet_contract.messages import InstalledRelease

A = DeploymentAction

UNINTERRUPTIBLE: Final = frozenset({A.ACTIVATE, A.ROLL_BACK, A.COMMIT})
MAX_INBOX: Final = 64
STORAGE_RETRY_S: Final = 5.0

_log = logging.getLogger(__name__)


class SlotRunner:
    """One slot's life.

    Args:
        around: what all slots share.
        record: the slot as it was persisted, or a fresh one.
        serving: its model host.
        steps: its actions.
        changed: called after every change that is worth reporting.
        collect_garbage: called after every end of a deployment.
    """

    def __init__(
        self,
        around: Surroundings,
        record: SlotRecord,
        serving: SlotServing,
        steps: SlotSteps,
        *,
        changed: Callable[[], None],
        collect_garbage: Callable[[], None],
    ) -> None:
        self._around = around
        self.record = record
        self.serving = serving
        self._steps = steps
        self._changed = changed
        self._collect_garbage = collect_garbage
        self._inbox: asyncio.Queue[Decide] = asyncio.Queue(MAX_INBOX)

    def offer(self, decide: Decide) -> bool:
        """Puts a decision into the inbox; False when it is full, which is logged."""
        try:
            self._inbox.put_nowait(decide)
        except asyncio.QueueFull:
            _log.error("slot inbox full slot=%s", self.record.slot)
            return False
        return True

    async def run(self, *, clean: bool) -> None:
        """Serves and deploys until canceled; `clean` says that the agent ended on purpose before."""
        course = resume(self.record, self._around.clock.now(), clean=clean)
        await self._take(course)
        await self._serve_first()
        action = course.action
        while True:
            if action is A.NONE:
                action = await self._take((await self._inbox.get())(self.record, self._around.clock.now()))
            else:
                action = await self._carry_out(action)

    async def _serve_first(self) -> None:
        """What was active is served again before anything else, with no network."""
        record = self.record
        if record.active is not None:
            error = await self._try_to_serve(record.active)
            if error is not None:
                await self._serve_instead(error)
        elif record.previous is not None and await self._try_to_serve(record.previous) is None:
            await self._take(fell_back(record, None, self._around.clock.now()))
        self._around.files.set_current(record.slot, self.record.active)
        self._changed()

    async def _try_to_serve(self, installed: InstalledRelease) -> EdgeferryError | None:
        on_probation = self.record.pointer_moved and self.record.state in CHANGED
        try:
            await self.serving.serve(installed, probation=on_probation)
        except (ModelError, ContractError) as error:
            _log.exception("release does not start slot=%s version=%d", self.record.slot, installed.version)
            return error
        return None

    async def _serve_instead(self, error: EdgeferryError) -> None:
        record, described = self.record, describe(error)
        if record.state is DeploymentState.PROBATION:
            self.offer(lambda record, now: happen(record, DeploymentEvent.PROBATION_FAILED, now, error=described))
        elif record.state in RESTING and (record.previous is None or await self._try_to_serve(record.previous) is None):
            await self._take(fell_back(record, described, self._around.clock.now()))

    async def _carry_out(self, action: DeploymentAction) -> DeploymentAction:
        """The action after this one."""
        work = asyncio.create_task(self._steps.carry_out(action, self.record))
        try:
            while action not in UNINTERRUPTIBLE and not work.done():
                decide = await self._next_or_done(work)
                course = decide(self.record, self._around.clock.now()) if decide else None
                if course is not None:
                    await self._take(course)
                if course is not None and course.steps:
                    return course.action
            return await self._take((await work)(self.record, self._around.clock.now()))
        finally:
            await _end(work)

    async def _next_or_done(self, work: asyncio.Task[Decide]) -> Decide | None:
        waiting = asyncio.create_task(self._inbox.get())
        try:
            await asyncio.wait({work, waiting}, return_when=asyncio.FIRST_COMPLETED)
            return waiting.result() if waiting.done() else None
        finally:
            await _end(waiting)

    async def _take(self, course: Course) -> DeploymentAction:
        """Persists a course, then makes it known. A full disk stops a deployment, never what is being served."""
        if course.record == self.record:
            return course.action
        while True:
            try:
                self._persist(course)
            except StorageError as error:
                _log.error("cannot persist slot=%s error=%s", course.record.slot, error.message)
                await asyncio.sleep(STORAGE_RETRY_S)
            else:
                return course.action

    def _persist(self, course: Course) -> None:
        """The record and its events in one transaction; then the files that follow from it."""
        with self._around.store.transaction():
            self._around.store.save_slot(course.record)
            for step in course.steps:
                self._around.store.outbox.add(self._event(step))
        moved = course.record.active != self.record.active
        self.record = course.record
        if moved:
            self._around.files.set_current(course.record.slot, course.record.active)
        for step in course.steps:
            _log.info("slot=%s state=%s event=%s", step.record.slot, step.record.state, step.event)
        if any(step.record.state in TERMINAL for step in course.steps):
            self._collect_garbage()
        self._changed()

    def _event(self, step: Step) -> Event:
        record = step.record
        desired = record.desired
        assert desired is not None, "a slot without a deployment makes no transitions"
        runs = record.staged or (record.active if record.active and record.pointer_moved else None)
        if record.state is DeploymentState.COMMITTED:
            runs = record.active
        return Event(
            seq=1,
            at=self._around.clock.now(),
            slot=record.slot,
            deployment_id=desired.deployment_id,
            event=step.event,
            from_state=step.from_state,
            to_state=record.state,
            model=desired.model,
            version=desired.version,
            variant=runs.variant if runs else "",
            error=record.error,
            detail=record.error.detail if record.error else "",
        )


async def _end(task: asyncio.Task[Decide]) -> None:
    """Cancels a task that is still under way and waits for its end."""
    if not task.done():
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
