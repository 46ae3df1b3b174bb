"""What the plan asks for, and how each action changes a rollout: pure. The engine adds the side effects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fleet_contract.deployment import DeploymentError, DeploymentState, ErrorClass
from fleet_contract.rollout import (
    ROLLOUT_ENDED,
    STAGE_ENDED,
    RolloutEvent,
    StageEvent,
    StageState,
    rollout_transition,
    stage_transition,
)
from fleet_server.rollout.snapshot import Return

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_server.rollout.snapshot import Member, Rollout, Stage


@dataclass(frozen=True, slots=True)
class Note:
    """A device is seen in another state."""

    device_id: str
    state: DeploymentState
    variant: str = ""
    error: DeploymentError | None = None


@dataclass(frozen=True, slots=True)
class Give:
    """A device gets the release."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A device that has not finished gets back what it had, and waits again or leaves the rollout."""

    device_id: str
    state: DeploymentState


@dataclass(frozen=True, slots=True)
class TakeBack:
    """A device that got the release is asked to return to what it ran before."""

    device_id: str


@dataclass(frozen=True, slots=True)
class Returned:
    """A device has returned to what it ran before, or could not."""

    device_id: str
    back: Return
    why: str = ""


@dataclass(frozen=True, slots=True)
class Touch:
    """A device's timer starts again."""

    device_id: str


@dataclass(frozen=True, slots=True)
class MoveStage:
    """A stage moves on."""

    index: int
    event: StageEvent
    reason: str = ""


@dataclass(frozen=True, slots=True)
class MoveRollout:
    """The rollout moves on."""

    event: RolloutEvent
    reason: str = ""


Action = Note | Give | Withdraw | TakeBack | Returned | Touch | MoveStage | MoveRollout


def apply(rollout: Rollout, actions: list[Action], now: datetime) -> Rollout:
    """The rollout after the actions.

    A new desired document makes what was observed of the old one stale: its deployment is forgotten, and a device
    that returns must report a later revision than it had.
    """
    members = {member.device_id: member for member in rollout.members}
    stages = list(rollout.stages)
    observations = dict(rollout.observations)
    for action in actions:
        if isinstance(action, MoveStage):
            stages[action.index] = _moved_stage(stages[action.index], action, now)
        elif isinstance(action, MoveRollout):
            rollout = moved_rollout(rollout, action, now)
        else:
            members[action.device_id] = _changed_member(members[action.device_id], action, now)
        if isinstance(action, Give | Withdraw | TakeBack):
            seen = rollout.seen(action.device_id)
            observations[action.device_id] = replace(seen, desired_deployment="")
            revision = seen.reported_rev + 1
            members[action.device_id] = replace(members[action.device_id], return_rev=revision)
    return replace(rollout, members=tuple(members.values()), stages=tuple(stages), observations=observations)


def moved_rollout(rollout: Rollout, action: MoveRollout, now: datetime) -> Rollout:
    """The rollout after its own event; unchanged where the event means nothing."""
    state = rollout_transition(rollout.state, action.event)
    if state is rollout.state:
        return rollout
    ended_at = now if state in ROLLOUT_ENDED else None
    return replace(rollout, state=state, reason=action.reason, ended_at=ended_at)


def _moved_stage(stage: Stage, action: MoveStage, now: datetime) -> Stage:
    state = stage_transition(stage.state, action.event)
    if state is stage.state:
        return stage
    return replace(
        stage,
        state=state,
        reason=action.reason or stage.reason,
        started_at=now if state is StageState.RUNNING else stage.started_at,
        soaking_at=now if state is StageState.SOAKING else stage.soaking_at,
        ended_at=now if state in STAGE_ENDED else stage.ended_at,
    )


def _changed_member(
    member: Member, action: Note | Give | Withdraw | TakeBack | Returned | Touch, now: datetime
) -> Member:
    changed = replace(member, progressed_at=now)
    match action:
        case Note():
            variant = action.variant or member.variant
            changed = replace(changed, state=action.state, variant=variant, error=action.error)
        case Give():
            state, attempt = DeploymentState.NOTIFIED, member.attempt + 1
            changed = replace(changed, state=state, attempt=attempt, given=True, error=None)
        case Withdraw():
            changed = replace(changed, state=action.state, given=False)
        case TakeBack():
            changed = replace(changed, state=DeploymentState.ROLLING_BACK, back=Return.ASKED)
        case Returned(back=Return.DONE):
            changed = replace(changed, state=DeploymentState.ROLLED_BACK, back=action.back)
        case Returned():
            error = DeploymentError(kind=ErrorClass.RUNTIME, code="not-returned", detail=action.why)
            changed = replace(changed, state=DeploymentState.ROLLBACK_FAILED, back=action.back, error=error)
    return changed
