"""The life of a rollout over the fleet and of its stages: two pure, total transition tables.

As with deployments, a pair that is not in a table changes nothing, so operators and timers may race.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from fleet_contract.release import Fraction


class RolloutState(StrEnum):
    """Where a rollout is."""

    DRAFT = "draft"
    PENDING_APPROVAL = "pending-approval"
    SCHEDULED = "scheduled"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    ABORTED = "aborted"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"


class RolloutEvent(StrEnum):
    """What can happen to a rollout."""

    SUBMIT = "submit"
    SUBMIT_FOR_APPROVAL = "submit-for-approval"
    APPROVE = "approve"
    START = "start"
    PAUSE = "pause"
    RESUME = "resume"
    ABORT = "abort"
    ROLL_BACK = "roll-back"
    ALL_STAGES_PASSED = "all-stages-passed"
    ALL_DEVICES_BACK = "all-devices-back"


class StageState(StrEnum):
    """Where a stage is."""

    PENDING = "pending"
    RUNNING = "running"
    SOAKING = "soaking"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class StageEvent(StrEnum):
    """What can happen to a stage."""

    BEGIN = "begin"
    DEVICES_DONE = "devices-done"
    SOAKED = "soaked"
    GATE_FAILED = "gate-failed"
    SKIP = "skip"


class OnFailure(StrEnum):
    """What a rollout does when a stage fails."""

    PAUSE = "pause"
    ABORT = "abort"
    ROLL_BACK = "roll-back"


class StageGate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Thresholds on counts of DEVICES.

    A stage fails as soon as more than `max_failures` devices failed and at least `min_samples` devices have ended;
    it passes when all ended and `min_success_fraction` of them succeeded.
    """

    max_failures: Annotated[int, Meta(ge=0)] = 0
    min_samples: Annotated[int, Meta(ge=1)] = 1
    min_success_fraction: Fraction = 0.9


class StagePlan(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One stage: how many of the targeted devices it brings in all, by count or by fraction, and its gate.

    `stratify` puts at least one device of every hardware into the stage; `in_flight` bounds devices at work at
    once; `soak_s` is how long all of them must stay healthy; `step_timeout_s` how long a device may go without
    any progress before it counts as TIMED_OUT, which is a failure.
    """

    name: str
    count: Annotated[int, Meta(ge=0)] = 0
    fraction: Fraction = 0.0
    stratify: bool = True
    in_flight: Annotated[int, Meta(ge=1)] = 100
    soak_s: Annotated[float, Meta(ge=0.0)] = 300.0
    step_timeout_s: Annotated[float, Meta(gt=0.0)] = 1800.0
    gate: StageGate = StageGate()


R, RE = RolloutState, RolloutEvent
G, GE = StageState, StageEvent

ROLLOUT_TABLE: Final[dict[tuple[RolloutState, RolloutEvent], RolloutState]] = {
    (R.DRAFT, RE.SUBMIT): R.SCHEDULED,
    (R.DRAFT, RE.SUBMIT_FOR_APPROVAL): R.PENDING_APPROVAL,
    (R.PENDING_APPROVAL, RE.APPROVE): R.SCHEDULED,
    (R.SCHEDULED, RE.START): R.RUNNING,
    (R.RUNNING, RE.PAUSE): R.PAUSED,
    (R.PAUSED, RE.RESUME): R.RUNNING,
    (R.RUNNING, RE.ALL_STAGES_PASSED): R.COMPLETED,
    (R.ROLLING_BACK, RE.ALL_DEVICES_BACK): R.ROLLED_BACK,
    **{(state, RE.ABORT): R.ABORTED for state in (R.DRAFT, R.PENDING_APPROVAL, R.SCHEDULED, R.RUNNING, R.PAUSED)},
    # A completed rollout may be rolled back too: taking back a model is a normal, authorised act.
    **{(state, RE.ROLL_BACK): R.ROLLING_BACK for state in (R.RUNNING, R.PAUSED, R.ABORTED, R.COMPLETED)},
}

STAGE_TABLE: Final[dict[tuple[StageState, StageEvent], StageState]] = {
    (G.PENDING, GE.BEGIN): G.RUNNING,
    (G.PENDING, GE.SKIP): G.SKIPPED,
    (G.RUNNING, GE.DEVICES_DONE): G.SOAKING,
    (G.RUNNING, GE.GATE_FAILED): G.FAILED,
    (G.SOAKING, GE.SOAKED): G.PASSED,
    (G.SOAKING, GE.GATE_FAILED): G.FAILED,
    (G.RUNNING, GE.SKIP): G.SKIPPED,
    (G.SOAKING, GE.SKIP): G.SKIPPED,
}

ROLLOUT_ENDED: Final = frozenset({R.COMPLETED, R.ABORTED, R.ROLLED_BACK})
STAGE_ENDED: Final = frozenset({G.PASSED, G.FAILED, G.SKIPPED})


def rollout_transition(state: RolloutState, event: RolloutEvent) -> RolloutState:
    """The rollout's state after `event`; unchanged where the event means nothing."""
    return ROLLOUT_TABLE.get((state, event), state)


def stage_transition(state: StageState, event: StageEvent) -> StageState:
    """The stage's state after `event`; unchanged where the event means nothing."""
    return STAGE_TABLE.get((state, event), state)


DEFAULT_STAGES: Final = (
    StagePlan(name="canary", count=1, fraction=0.05),
    StagePlan(name="quarter", fraction=0.25),
    StagePlan(name="all", fraction=1.0),
)
