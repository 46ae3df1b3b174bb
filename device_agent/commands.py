"""Commands: what the server may ask besides the desired state. Each was verified and is carried out at most once.

`refresh` publishes the full state and fetches fresh metadata. `cancel` ends the deployment under way, `roll-back`
ends a probation; both are refused once a release is committed: a newer desired document is the way then.
`collect` looks at inputs for a while and uploads the chosen ones, only where the signed desired document allows
it, never more bytes than asked for, one collection at a time.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from device_agent.faults import describe
from device_agent.machine import Course, happen
from fleet_contract.api import SampleBatch
from fleet_contract.codec import encode
from fleet_contract.deployment import (
    DeploymentAction,
    DeploymentError,
    DeploymentEvent,
    DeploymentState,
    ErrorClass,
    transition,
)
from fleet_contract.errors import EdgeferryError, StorageError
from fleet_contract.messages import CommandName, CommandResult

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from datetime import datetime

    from device_agent.slot_record import SlotRecord
    from device_agent.slot_runner import SlotRunner
    from device_agent.surroundings import Surroundings
    from fleet_contract.api import SampleUpload
    from fleet_contract.messages import Command

MAX_BATCH_BYTES: Final = 1024 * 1024
MAX_COLLECT_S: Final = 3600.0

_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """Whether a command was accepted, with a stable code and words when not."""

    accepted: bool
    code: str = ""
    detail: str = ""


class Commands:
    """Carries out commands.

    Args:
        around: what the agent shares.
        runner_of: the slot of that name, or None.
        sampling_allowed: what the last desired document says.
        changed: something is worth reporting.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        runner_of: Callable[[str], SlotRunner | None],
        sampling_allowed: Callable[[], bool],
        changed: Callable[[], None],
    ) -> None:
        self._around = around
        self._runner_of = runner_of
        self._sampling_allowed = sampling_allowed
        self._changed = changed
        self._work: set[asyncio.Task[None]] = set()
        self._collecting: set[str] = set()

    def take(self, command: Command) -> None:
        """Begins a command; its answer goes into the outbox."""
        runner = self._runner_of(command.slot)
        if command.name is CommandName.REFRESH:
            self._begin(self._refresh(command))
        elif runner is None:
            self._answer(command, Answer(accepted=False, code="no-slot", detail=f"no slot {command.slot!r}"))
        elif command.name is CommandName.COLLECT:
            self._take_collect(command, runner)
        else:
            self._answer(command, self._end_deployment(command, runner))

    async def close(self) -> None:
        """Ends what is under way."""
        for task in self._work:
            task.cancel()
        await asyncio.gather(*self._work, return_exceptions=True)

    async def _refresh(self, command: Command) -> None:
        try:
            await self._around.trust.refresh()
        except EdgeferryError as error:
            self._answer(command, Answer(accepted=False, code=describe(error).code, detail=error.message[:512]))
        else:
            self._answer(command, Answer(accepted=True))

    def _end_deployment(self, command: Command, runner: SlotRunner) -> Answer:
        record = runner.record
        desired = record.desired
        if desired is None or (command.deployment_id and command.deployment_id != desired.deployment_id):
            return Answer(accepted=False, code="no-deployment", detail="no such deployment is under way")
        event = DeploymentEvent.CANCEL
        if command.name is CommandName.ROLL_BACK:
            event = DeploymentEvent.PROBATION_FAILED
        if record.state is DeploymentState.ROLLING_BACK:
            return Answer(accepted=True, detail="rolling back already")
        if transition(record.state, event).state is record.state:
            return Answer(accepted=False, code="too-late", detail=f"deployment is {record.state}")
        error = DeploymentError(
            kind=ErrorClass.POLICY, code=str(command.name), detail=f"asked for by command {command.id}"
        )
        decide = partial(_end_if, deployment_id=desired.deployment_id, event=event, error=error)
        return Answer(accepted=True) if runner.offer(decide) else Answer(accepted=False, code="busy")

    def _take_collect(self, command: Command, runner: SlotRunner) -> None:
        budget_bytes = min(command.max_bytes, self._around.config.max_collect_mb * 2**20)
        refusal = None
        if not self._sampling_allowed():
            refusal = Answer(accepted=False, code="not-allowed", detail="sampling is off for this device")
        elif budget_bytes == 0 or command.max_samples == 0:
            refusal = Answer(accepted=False, code="no-budget", detail="no samples or no bytes allowed")
        elif command.slot in self._collecting:
            refusal = Answer(accepted=False, code="busy", detail="a collection is under way")
        if refusal is not None:
            self._answer(command, refusal)
            return
        self._collecting.add(command.slot)
        self._begin(self._collect(command, runner, budget_bytes))

    async def _collect(self, command: Command, runner: SlotRunner, budget_bytes: int) -> None:
        try:
            duration_s = min(command.duration_s, MAX_COLLECT_S)
            samples = await runner.serving.collect(command.max_samples, budget_bytes, duration_s)
            sent = 0
            for batch in batches(samples, budget_bytes):
                await self._around.server.send_samples(SampleBatch(request_id=command.request_id, samples=batch))
                sent += len(batch)
        except EdgeferryError as error:
            _log.warning("collect failed command=%s error=%s", command.id, error.message)
            self._answer(command, Answer(accepted=False, code=describe(error).code, detail=error.message[:512]))
        else:
            self._answer(command, Answer(accepted=True, detail=f"sent {sent} samples"))
        finally:
            self._collecting.discard(command.slot)

    def _begin(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._work.add(task)
        task.add_done_callback(self._work.discard)

    def _answer(self, command: Command, answer: Answer) -> None:
        result = CommandResult(
            id=command.id,
            accepted=answer.accepted,
            code=answer.code,
            detail=answer.detail,
            at=self._around.clock.now(),
        )
        try:
            with self._around.store.transaction():
                self._around.store.outbox.add_result(result)
        except StorageError as error:
            _log.error("answer lost command=%s error=%s", command.id, error.message)
        self._changed()


def batches(samples: Sequence[SampleUpload], budget_bytes: int) -> Iterator[tuple[SampleUpload, ...]]:
    """The samples in uploads of about MAX_BATCH_BYTES, none past `budget_bytes` of encoded samples in all."""
    batch: list[SampleUpload] = []
    batch_bytes = 0
    for sample in samples:
        size_bytes = len(encode(sample))
        if size_bytes > budget_bytes:
            continue
        budget_bytes -= size_bytes
        if batch and batch_bytes + size_bytes > MAX_BATCH_BYTES:
            yield tuple(batch)
            batch, batch_bytes = [], 0
        batch.append(sample)
        batch_bytes += size_bytes
    if batch:
        yield tuple(batch)


def _end_if(
    record: SlotRecord, now: datetime, *, deployment_id: str, event: DeploymentEvent, error: DeploymentError
) -> Course:
    """Ends the deployment that the command meant, and no later one."""
    if record.desired is None or record.desired.deployment_id != deployment_id:
        return Course(record, (), DeploymentAction.NONE)
    return happen(record, event, now, error=error)
