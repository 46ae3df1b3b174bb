"""The decisions about one slot: pure functions from a record and something that happened to a `Course`.

Rules, on top of the contract's transition table:
 1. A deployment is known by its id; wanting the same one again changes nothing, ended or not.
 2. A release below the slot's floor (`min_version`) is rejected; the one that is active is already installed.
 3. A newer deployment supersedes. Before anything changed that is the end of the older one; afterwards the older
    one is rolled back first, and the newer one waits in `queued` (the newest wins) until it has ended.
 4. The pointer (`active`) moves in two places only: ACTIVATED puts the staged release there and keeps the old one
    as `previous`; ROLLBACK_DONE puts it back. A floor does not stop a rollback: something runnable stays active.
 5. Nothing is activated that did not pass VERIFYING and PREFLIGHT in this deployment: `staged` is set by
    PREFLIGHT_PASSED alone and is gone with every other end.
 6. Interrupted downloads are tried again until `max_attempts`; an error that is not retryable ends at once.
 7. Every crash of a host in probation and every unclean end of the agent from PREFLIGHT on counts in `starts`;
    at `max_crashes` the deployment ends, through a rollback once something changed.
 8. An active release that is found damaged at the start gives way to the previous one, or to none, with its error
    on record; the next start tries it again when nothing else is active.
 9. After a restart `resume` names the action of the persisted state; actions are safe to repeat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from device_agent.slot_record import SlotRecord
from fleet_contract.deployment import (
    CHANGED,
    PROVING,
    TERMINAL,
    DeploymentAction,
    DeploymentError,
    DeploymentEvent,
    DeploymentState,
    ErrorClass,
    transition,
)

if TYPE_CHECKING:
    from datetime import datetime

    from fleet_contract.desired import SlotDesired
    from fleet_contract.messages import InstalledRelease

S, E, A = DeploymentState, DeploymentEvent, DeploymentAction

RESTING: Final = TERMINAL | {S.IDLE}
"""States in which a new deployment may begin."""

RESUME: Final[dict[DeploymentState, DeploymentAction]] = {
    S.DOWNLOADING: A.DOWNLOAD,
    S.RETRY_WAIT: A.SCHEDULE_RETRY,
    S.VERIFYING: A.VERIFY,
    S.STAGED: A.CHECK_READY,
    S.WAITING_WINDOW: A.WAIT,
    S.WAITING_CONSENT: A.WAIT,
    S.PREFLIGHT: A.PREFLIGHT,
    S.SHADOW: A.SHADOW,
    S.ACTIVATING: A.ACTIVATE,
    S.PROBATION: A.OBSERVE,
    S.ROLLING_BACK: A.ROLL_BACK,
}
"""The action that each state waits for; a state that is missing waits for nothing."""


class Step(NamedTuple):
    """One transition, for the record and the outbox."""

    event: DeploymentEvent
    from_state: DeploymentState
    record: SlotRecord


class Course(NamedTuple):
    """Where a slot goes: the transitions to persist together, then the action to carry out."""

    record: SlotRecord
    steps: tuple[Step, ...]
    action: DeploymentAction


def want(record: SlotRecord, desired: SlotDesired, now: datetime) -> Course:
    """The verified desired document names `desired` for this slot."""
    known = {each.deployment_id for each in (record.desired, record.queued) if each is not None}
    if desired.deployment_id in known:
        return _stay(record)
    if record.state in RESTING:
        return _begin(record, desired, now)
    if record.state is S.ROLLING_BACK:
        return Course(replace(record, queued=desired), (), A.NONE)
    superseded = DeploymentError(
        kind=ErrorClass.POLICY, code="superseded", detail=f"deployment {desired.deployment_id} is newer"
    )
    return happen(replace(record, queued=desired), E.SUPERSEDE, now, error=superseded)


def happen(
    record: SlotRecord,
    event: DeploymentEvent,
    now: datetime,
    *,
    error: DeploymentError | None = None,
    staged: InstalledRelease | None = None,
) -> Course:
    """Something happened to the deployment under way. `staged` comes with PREFLIGHT_PASSED only."""
    after = transition(record.state, event)
    if after.state is record.state:
        return Course(record, (), after.action)
    step = Step(event, record.state, _changed(record, after.state, now, error, staged))
    course = Course(step.record, (step,), after.action)
    if step.record.state in RESTING and step.record.queued is not None:
        begun = _begin(step.record, step.record.queued, now)
        return Course(begun.record, (step, *begun.steps), begun.action)
    return course


def interrupted(record: SlotRecord, error: DeploymentError, now: datetime) -> Course:
    """A download did not come to its end: try again, or give up when that is pointless or the tries are used up."""
    policy = record.desired.download if record.desired else None
    tried = replace(record, attempts=record.attempts + 1)
    if error.retryable and policy is not None and tried.attempts < policy.max_attempts:
        return happen(tried, E.DOWNLOAD_INTERRUPTED, now, error=error)
    return happen(tried, E.FAIL, now, error=error)


def crashed(record: SlotRecord, now: datetime) -> Course:
    """The host died, or the agent ended uncleanly, once."""
    if record.state not in {*PROVING, *CHANGED} or record.desired is None:
        return _stay(record)
    counted = replace(record, starts=record.starts + 1)
    limit = record.desired.probation.max_crashes
    if counted.starts < limit:
        return Course(counted, (), A.NONE)
    error = DeploymentError(
        kind=ErrorClass.HEALTH, code="crashes", detail=f"crashed {counted.starts} times in probation, limit {limit}"
    )
    event = E.PROBATION_FAILED if record.state is S.PROBATION else E.FAIL
    return happen(counted, event, now, error=error)


def resume(record: SlotRecord, now: datetime, *, clean: bool) -> Course:
    """The agent starts again; `clean` says that it ended on purpose. The action carries on from what was persisted."""
    if record.state is S.ACCEPTED:
        return happen(record, E.DOWNLOAD, now)
    if not clean:
        course = crashed(record, now)
        if course.steps:
            return course
        record = course.record
    return Course(record, (), RESUME.get(record.state, A.NONE))


def fell_back(record: SlotRecord, error: DeploymentError | None, now: datetime) -> Course:
    """At the start the active release could not be served: it trades places with the previous one, or with nothing.

    So the server sees what really runs, and deploying the damaged release again installs it again.
    """
    return Course(replace(record, active=record.previous, previous=record.active, since=now, error=error), (), A.NONE)


def _begin(record: SlotRecord, desired: SlotDesired, now: datetime) -> Course:
    fresh = SlotRecord(slot=record.slot, since=now, desired=desired, active=record.active, previous=record.previous)
    if desired.version < desired.min_version:
        floor = DeploymentError(
            kind=ErrorClass.POLICY,
            code="below-floor",
            detail=f"{desired.model} v{desired.version} is below the slot's floor v{desired.min_version}",
        )
        return happen(fresh, E.REJECT, now, error=floor)
    if record.active is not None and record.active.release_sha256 == desired.release_sha256:
        return happen(fresh, E.ALREADY_ACTIVE, now)
    accepted = happen(fresh, E.ACCEPT, now)
    downloading = happen(accepted.record, E.DOWNLOAD, now)
    return Course(downloading.record, accepted.steps + downloading.steps, downloading.action)


def _changed(
    record: SlotRecord,
    state: DeploymentState,
    now: datetime,
    error: DeploymentError | None,
    staged: InstalledRelease | None,
) -> SlotRecord:
    moved = replace(record, state=state, since=now, error=error or _lasting(record, state))
    if state is S.ACTIVATING:
        return replace(moved, staged=staged or record.staged)
    if state is S.PROBATION:
        assert record.staged is not None, "only a staged release is activated"
        return replace(moved, active=record.staged, previous=record.active, staged=None)
    if state is S.ROLLED_BACK and record.pointer_moved:
        return replace(moved, active=record.previous, previous=None, staged=None)
    return replace(moved, staged=None) if state in TERMINAL else moved


def _lasting(record: SlotRecord, state: DeploymentState) -> DeploymentError | None:
    """Why a rollback began stays with its end; every other error speaks of its own state alone."""
    return record.error if state in {S.ROLLED_BACK, S.ROLLBACK_FAILED} else None


def _stay(record: SlotRecord) -> Course:
    return Course(record, (), A.NONE)
