"""The plan of a rollout: (snapshot, now) -> the actions that follow. Pure; the engine repeats it until none is left.

Rules:
1. A device gets the release only while its stage has begun, it is online, and fewer than `in_flight` devices of
   the stage are at work. Offline devices stay QUEUED and hold nobody up; they are served late when they come.
2. A device that makes no progress for `step_timeout_s` has TIMED_OUT, which is a failure; one that went offline
   before it began is put back in the queue instead, and its desired document is taken back.
3. A stage ends by its gate (`gates`), soaks, and is judged once more; failures that come late, also in stages that
   have passed, count. A failed gate never lets another stage begin.
4. ABORTED takes the release back from devices that are still at work. ROLLING_BACK takes it back from every device
   that got it, and ends when each one that is online has returned or could not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from fleet_contract.deployment import FAILURES, SUCCEEDED, TERMINAL, DeploymentError, DeploymentState, ErrorClass
from fleet_contract.rollout import STAGE_ENDED, OnFailure, RolloutEvent, RolloutState, StageEvent, StageState
from fleet_server.rollout import gates
from fleet_server.rollout.actions import Action, Give, MoveRollout, MoveStage, Note, Withdraw
from fleet_server.rollout.gates import Verdict
from fleet_server.rollout.returning import take_back

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from fleet_server.rollout.snapshot import Member, Observation, Rollout, Stage

BEGUN = frozenset({StageState.RUNNING, StageState.SOAKING, StageState.PASSED})
_FAILURE_EVENT = {
    OnFailure.PAUSE: RolloutEvent.PAUSE,
    OnFailure.ABORT: RolloutEvent.ABORT,
    OnFailure.ROLL_BACK: RolloutEvent.ROLL_BACK,
}


def decide(rollout: Rollout, now: datetime) -> list[Action]:
    """The next actions; empty when nothing is to be done at `now`."""
    notes: list[Action] = list(_progress(rollout, now))
    return notes or _next_moves(rollout, now)


def accept_failures(rollout: Rollout) -> Rollout:
    """The rollout once a person has seen why its gates fail and lets it go on; gates that hold are left as they are."""
    stages = list(rollout.stages)
    for index, stage in enumerate(stages):
        counts = _counts(rollout, index)
        if stage.state in BEGUN and gates.judge(counts, stage.plan.gate).verdict is Verdict.FAIL:
            stages[index] = replace(stage, accepted_failures=counts.failed)
    return replace(rollout, stages=tuple(stages))


def _next_moves(rollout: Rollout, now: datetime) -> list[Action]:
    moves: list[Action] = []
    match rollout.state:
        case RolloutState.SCHEDULED:
            moves = [MoveRollout(RolloutEvent.START)]
        case RolloutState.RUNNING:
            moves = _run(rollout, now)
        case RolloutState.COMPLETED:
            moves = list(_give(rollout))
        case RolloutState.ABORTED:
            moves = [*_skip_stages(rollout), *_leave(rollout)]
        case RolloutState.ROLLING_BACK | RolloutState.ROLLED_BACK:
            moves = [*_skip_stages(rollout), *take_back(rollout, now)]
    return moves


def _progress(rollout: Rollout, now: datetime) -> Iterator[Action]:
    """What devices report, and what they fail to report in time."""
    if rollout.state in (RolloutState.ROLLING_BACK, RolloutState.ROLLED_BACK, RolloutState.ABORTED):
        return
    for member in rollout.members:
        seen = rollout.seen(member.device_id)
        action = _removal(member, seen) or _report(rollout, member, seen) or _timeout(rollout, member, seen, now)
        if action:
            yield action


def _removal(member: Member, seen: Observation) -> Action | None:
    gone = seen.removed and member.state is not DeploymentState.REMOVED
    return Note(member.device_id, DeploymentState.REMOVED) if gone else None


def _report(rollout: Rollout, member: Member, seen: Observation) -> Action | None:
    if not member.given or member.state in FAILURES:
        return None
    if member.state in SUCCEEDED:
        return _relapse(rollout, member, seen)
    if member.state in TERMINAL:
        return None
    deployment_id = rollout.deployment_id(member)
    if seen.desired_deployment not in ("", deployment_id):
        return Note(member.device_id, DeploymentState.SUPERSEDED)
    slot = seen.slot
    if slot is None or slot.deployment_id != deployment_id or slot.state in (member.state, DeploymentState.IDLE):
        return None
    variant = slot.active.variant if slot.active and slot.state in SUCCEEDED else ""
    return Note(member.device_id, slot.state, variant, slot.error)


def _relapse(rollout: Rollout, member: Member, seen: Observation) -> Action | None:
    """A device that had committed and is not healthy any more; it counts until the rollout has ended."""
    if rollout.state not in (RolloutState.RUNNING, RolloutState.PAUSED):
        return None
    slot = seen.slot
    if slot and slot.deployment_id == rollout.deployment_id(member):
        if slot.state in FAILURES:
            return Note(member.device_id, slot.state, error=slot.error)
        if slot.active is None or slot.active.release_sha256 != rollout.release_sha256:
            return Note(member.device_id, DeploymentState.ROLLED_BACK, error=slot.error)
    if seen.unhealthy:
        error = DeploymentError(kind=ErrorClass.HEALTH, code="unhealthy", detail=seen.unhealthy)
        return Note(member.device_id, DeploymentState.FAILED, error=error)
    return None


def _timeout(rollout: Rollout, member: Member, seen: Observation, now: datetime) -> Action | None:
    if not member.busy:
        return None
    limit_s = rollout.stages[member.stage].plan.step_timeout_s
    if member.state is DeploymentState.PROBATION:
        limit_s += rollout.probation_limit_s
    if (now - member.progressed_at).total_seconds() <= limit_s:
        return None
    if member.state is DeploymentState.NOTIFIED and not seen.online:
        if rollout.state is RolloutState.COMPLETED:
            return None
        return Withdraw(member.device_id, DeploymentState.QUEUED)
    error = DeploymentError(
        kind=ErrorClass.POLICY, code="step-timeout", detail=f"no progress from {member.state} in {limit_s:g} s"
    )
    return Note(member.device_id, DeploymentState.TIMED_OUT, error=error)


def _run(rollout: Rollout, now: datetime) -> list[Action]:
    current = _current(rollout)
    if current is None:
        return [MoveRollout(RolloutEvent.ALL_STAGES_PASSED)]
    index, stage = current
    if stage.state is StageState.PENDING:
        event = StageEvent.BEGIN if _members(rollout, index) else StageEvent.SKIP
        return [MoveStage(index, event, "" if event is StageEvent.BEGIN else "no device is left for it")]
    reason = _late_failure(rollout, index)
    if reason:
        return _fail(rollout, index, reason)
    return _judge(rollout, index, stage, now) or list(_give(rollout))


def _current(rollout: Rollout) -> tuple[int, Stage] | None:
    for index, stage in enumerate(rollout.stages):
        if stage.state not in STAGE_ENDED:
            return index, stage
    return None


def _judge(rollout: Rollout, index: int, stage: Stage, now: datetime) -> list[Action]:
    counts, gate = _counts(rollout, index), stage.plan.gate
    if stage.state is StageState.SOAKING:
        return _judge_soaking(rollout, index, counts, now)
    judgement = gates.judge(counts, gate)
    if judgement.verdict is Verdict.FAIL:
        return _fail(rollout, index, judgement.reason)
    return [MoveStage(index, StageEvent.DEVICES_DONE)] if judgement.verdict is Verdict.PASS else []


def _judge_soaking(rollout: Rollout, index: int, counts: gates.Counts, now: datetime) -> list[Action]:
    """While it soaks only failures count; at its end the whole gate, without waiting for late devices."""
    stage = rollout.stages[index]
    judgement = gates.judge(replace(counts, reachable=0), stage.plan.gate)
    if judgement.verdict is Verdict.FAIL:
        return _fail(rollout, index, judgement.reason)
    if stage.soaking_at is None or (now - stage.soaking_at).total_seconds() < stage.plan.soak_s:
        return []
    return [MoveStage(index, StageEvent.SOAKED, judgement.reason)]


def _late_failure(rollout: Rollout, current: int) -> str:
    """Why a stage before the current one has failed after it had passed; empty where none has."""
    for index, stage in enumerate(rollout.stages[:current]):
        reason = gates.failing(_counts(rollout, index), stage.plan.gate) if stage.state is StageState.PASSED else ""
        if reason:
            return f"stage {stage.plan.name}, after it had passed: {reason}"
    return ""


def _fail(rollout: Rollout, index: int, reason: str) -> list[Action]:
    """A failed gate: a pause leaves the stage open for a person to decide; the others end it."""
    named = f"stage {rollout.stages[index].plan.name}: {reason}"
    move = MoveRollout(_FAILURE_EVENT[rollout.on_failure], named)
    if rollout.on_failure is OnFailure.PAUSE:
        return [move]
    return [MoveStage(index, StageEvent.GATE_FAILED, reason), move]


def _give(rollout: Rollout) -> Iterator[Action]:
    for index, stage in enumerate(rollout.stages):
        if stage.state not in BEGUN:
            continue
        members = _members(rollout, index)
        free = stage.plan.in_flight - sum(member.busy for member in members)
        waiting = [each for each in members if each.state is DeploymentState.QUEUED and _is_there(rollout, each)]
        yield from (Give(member.device_id) for member in waiting[: max(0, free)])


def _leave(rollout: Rollout) -> Iterator[Action]:
    for member in rollout.members:
        if member.busy:
            yield Withdraw(member.device_id, DeploymentState.REMOVED)
        elif member.state not in TERMINAL:
            yield Note(member.device_id, DeploymentState.REMOVED)


def _skip_stages(rollout: Rollout) -> Iterator[Action]:
    for index, stage in enumerate(rollout.stages):
        if stage.state not in STAGE_ENDED:
            yield MoveStage(index, StageEvent.SKIP, f"the rollout is {rollout.state}")


def _counts(rollout: Rollout, index: int) -> gates.Counts:
    members = _members(rollout, index)
    accepted = rollout.stages[index].accepted_failures
    return gates.count(members, [_is_there(rollout, member) for member in members], accepted)


def _members(rollout: Rollout, index: int) -> list[Member]:
    return [member for member in rollout.members if member.stage == index]


def _is_there(rollout: Rollout, member: Member) -> bool:
    seen = rollout.seen(member.device_id)
    return seen.online and not seen.removed
