"""The way back: every device that got a release returns to what its slot ran before. Pure.

A device has returned when it has taken the document that asks for it and reports the earlier release active
(where it ran none before, taking the document is all that can be asked). It has failed to when it says so, or is
online and makes no progress in time. Offline devices keep the document and do not hold up the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.deployment import FAILURES, TERMINAL, DeploymentState
from fleet_contract.rollout import RolloutEvent, RolloutState
from fleet_server.rollout.actions import Action, MoveRollout, Note, Returned, TakeBack, Touch
from fleet_server.rollout.snapshot import Return, runs

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_server.rollout.snapshot import Member, Observation, Rollout


def take_back(rollout: Rollout, now: datetime) -> list[Action]:
    """What is to be done while a rollout rolls back, and for devices that come back after it has."""
    actions = [action for member in rollout.members for action in _step(rollout, member, now)]
    if actions or rollout.state is RolloutState.ROLLED_BACK:
        return actions
    waiting = [member for member in rollout.members if member.back is Return.ASKED]
    if any(rollout.seen(member.device_id).online for member in waiting):
        return []
    return [MoveRollout(RolloutEvent.ALL_DEVICES_BACK, _summary(rollout, waiting))]


def _step(rollout: Rollout, member: Member, now: datetime) -> list[Action]:
    seen = rollout.seen(member.device_id)
    if seen.removed:
        gone = member.state is DeploymentState.REMOVED
        return [] if gone else [Note(member.device_id, DeploymentState.REMOVED)]
    if not member.given:
        return [] if member.state in TERMINAL else [Note(member.device_id, DeploymentState.REMOVED)]
    if member.back is Return.NONE:
        return [] if member.state is DeploymentState.SUPERSEDED else [TakeBack(member.device_id)]
    return _follow(rollout, member, seen, now) if member.back is Return.ASKED else []


def _follow(rollout: Rollout, member: Member, seen: Observation, now: datetime) -> list[Action]:
    if _has_returned(member, seen) or seen.desired_deployment not in ("", rollout.return_deployment_id):
        return [Returned(member.device_id, Return.DONE)]
    slot = seen.slot
    if slot and slot.deployment_id == rollout.return_deployment_id and slot.state in FAILURES:
        why = slot.error.detail if slot.error else f"the device reports {slot.state}"
        return [Returned(member.device_id, Return.FAILED, why)]
    return _time_return(rollout, member, seen, now) if rollout.state is RolloutState.ROLLING_BACK else []


def _time_return(rollout: Rollout, member: Member, seen: Observation, now: datetime) -> list[Action]:
    """The time limit runs only while the device is online."""
    limit_s = rollout.stages[member.stage].plan.step_timeout_s + rollout.probation_limit_s
    waited_s = (now - member.progressed_at).total_seconds()
    if not seen.online:
        return [Touch(member.device_id)] if waited_s > limit_s / 2 else []
    if waited_s > limit_s:
        return [Returned(member.device_id, Return.FAILED, f"did not return in {limit_s:g} s")]
    return []


def _has_returned(member: Member, seen: Observation) -> bool:
    if seen.reported_rev < member.return_rev:
        return False
    return member.previous is None or (seen.slot is not None and runs(seen.slot.active, member.previous))


def _summary(rollout: Rollout, waiting: list[Member]) -> str:
    parts = [rollout.reason] if rollout.reason else []
    failed = [member.device_id for member in rollout.members if member.back is Return.FAILED]
    if failed:
        parts.append(f"not returned: {_names(failed)}")
    if waiting:
        parts.append(f"offline, to return later: {_names([member.device_id for member in waiting])}")
    return "; ".join(parts)


def _names(device_ids: list[str], limit: int = 20) -> str:
    more = f" and {len(device_ids) - limit} more" if len(device_ids) > limit else ""
    return ", ".join(device_ids[:limit]) + more
