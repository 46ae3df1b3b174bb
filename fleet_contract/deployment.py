"""The life of a deployment on a device: one pure, total transition table.

`transition(state, event)` answers for every pair. A pair that is not in TABLE changes nothing and asks for no
action: a late, duplicated or reordered event is harmless. A device persists the new state with fsync before it
carries out the action.

Rules: no path reaches ACTIVATING without VERIFYING and PREFLIGHT. FAILED and REJECTED mean that nothing changed
on the device. A cancel counts at once up to STAGED, means roll back in PROBATION, and is too late afterwards.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from msgspec import Struct


class DeploymentState(StrEnum):
    """Where a deployment is. The last row of four is known to the server only."""

    IDLE = "idle"
    ACCEPTED = "accepted"
    DOWNLOADING = "downloading"
    RETRY_WAIT = "retry-wait"
    VERIFYING = "verifying"
    STAGED = "staged"
    WAITING_WINDOW = "waiting-window"
    WAITING_CONSENT = "waiting-consent"
    PREFLIGHT = "preflight"
    SHADOW = "shadow"
    ACTIVATING = "activating"
    PROBATION = "probation"
    COMMITTED = "committed"
    FAILED = "failed"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"
    ROLLBACK_FAILED = "rollback-failed"
    REJECTED = "rejected"
    CANCELED = "canceled"
    SUPERSEDED = "superseded"
    ALREADY_INSTALLED = "already-installed"
    NO_VARIANT = "no-variant"

    QUEUED = "queued"
    NOTIFIED = "notified"
    TIMED_OUT = "timed-out"
    REMOVED = "removed"


class DeploymentEvent(StrEnum):
    """What can happen to a deployment on a device."""

    ACCEPT = "accept"
    REJECT = "reject"
    ALREADY_ACTIVE = "already-active"
    NO_VARIANT_FITS = "no-variant-fits"
    DOWNLOAD = "download"
    DOWNLOAD_INTERRUPTED = "download-interrupted"
    RETRY_DUE = "retry-due"
    DOWNLOADED = "downloaded"
    VERIFIED = "verified"
    WINDOW_CLOSED = "window-closed"
    WINDOW_OPEN = "window-open"
    CONSENT_NEEDED = "consent-needed"
    CONSENT_GIVEN = "consent-given"
    READY = "ready"
    PREFLIGHT_PASSED = "preflight-passed"
    SHADOW_ASKED = "shadow-asked"
    SHADOW_PASSED = "shadow-passed"
    ACTIVATED = "activated"
    PROBATION_PASSED = "probation-passed"
    PROBATION_FAILED = "probation-failed"
    ROLLBACK_DONE = "rollback-done"
    ROLLBACK_FAILED = "rollback-failed"
    FAIL = "fail"
    CANCEL = "cancel"
    SUPERSEDE = "supersede"


class DeploymentAction(StrEnum):
    """What the device does after it has persisted the new state."""

    NONE = "none"
    DOWNLOAD = "download"
    SCHEDULE_RETRY = "schedule-retry"
    VERIFY = "verify"
    WAIT = "wait"
    CHECK_READY = "check-ready"
    PREFLIGHT = "preflight"
    SHADOW = "shadow"
    ACTIVATE = "activate"
    OBSERVE = "observe"
    COMMIT = "commit"
    ROLL_BACK = "roll-back"
    DISCARD = "discard"


class ErrorClass(StrEnum):
    """What kind of thing went wrong on a device."""

    NETWORK = "network"
    STORAGE = "storage"
    INTEGRITY = "integrity"
    TRUST = "trust"
    COMPAT = "compat"
    RUNTIME = "runtime"
    HEALTH = "health"
    POLICY = "policy"
    INTERNAL = "internal"


class DeploymentError(Struct, frozen=True, kw_only=True):
    """Why a deployment went wrong: class, a stable code such as `blob-hash`, and words for a person (<= 512)."""

    kind: ErrorClass
    code: str
    retryable: bool = False
    detail: str = ""


class Transition(NamedTuple):
    """The state after an event and the action that follows."""

    state: DeploymentState
    action: DeploymentAction


S, E, A = DeploymentState, DeploymentEvent, DeploymentAction

BEFORE_STAGED: Final = (S.ACCEPTED, S.DOWNLOADING, S.RETRY_WAIT, S.VERIFYING)
WAITING: Final = (S.STAGED, S.WAITING_WINDOW, S.WAITING_CONSENT)
PROVING: Final = (S.PREFLIGHT, S.SHADOW)
CHANGED: Final = (S.ACTIVATING, S.PROBATION)

SUCCEEDED: Final = frozenset({S.COMMITTED, S.ALREADY_INSTALLED})
FAILURES: Final = frozenset({S.FAILED, S.ROLLED_BACK, S.ROLLBACK_FAILED, S.REJECTED, S.TIMED_OUT, S.NO_VARIANT})
"""End states that a rollout's gates count as failures."""
TERMINAL: Final = SUCCEEDED | FAILURES | {S.CANCELED, S.SUPERSEDED, S.REMOVED}
RUNS_NEW_RELEASE: Final = frozenset({S.ACTIVATING, S.PROBATION, S.COMMITTED, S.ROLLING_BACK})

TABLE: Final[dict[tuple[DeploymentState, DeploymentEvent], Transition]] = {
    (S.IDLE, E.ACCEPT): Transition(S.ACCEPTED, A.NONE),
    (S.IDLE, E.REJECT): Transition(S.REJECTED, A.NONE),
    (S.IDLE, E.ALREADY_ACTIVE): Transition(S.ALREADY_INSTALLED, A.NONE),
    (S.ACCEPTED, E.DOWNLOAD): Transition(S.DOWNLOADING, A.DOWNLOAD),
    (S.ACCEPTED, E.ALREADY_ACTIVE): Transition(S.ALREADY_INSTALLED, A.NONE),
    (S.ACCEPTED, E.NO_VARIANT_FITS): Transition(S.NO_VARIANT, A.NONE),
    (S.DOWNLOADING, E.NO_VARIANT_FITS): Transition(S.NO_VARIANT, A.DISCARD),
    (S.DOWNLOADING, E.DOWNLOAD_INTERRUPTED): Transition(S.RETRY_WAIT, A.SCHEDULE_RETRY),
    (S.RETRY_WAIT, E.RETRY_DUE): Transition(S.DOWNLOADING, A.DOWNLOAD),
    (S.DOWNLOADING, E.DOWNLOADED): Transition(S.VERIFYING, A.VERIFY),
    (S.VERIFYING, E.VERIFIED): Transition(S.STAGED, A.CHECK_READY),
    (S.STAGED, E.WINDOW_CLOSED): Transition(S.WAITING_WINDOW, A.WAIT),
    (S.STAGED, E.CONSENT_NEEDED): Transition(S.WAITING_CONSENT, A.WAIT),
    (S.WAITING_WINDOW, E.WINDOW_OPEN): Transition(S.STAGED, A.CHECK_READY),
    (S.WAITING_CONSENT, E.CONSENT_GIVEN): Transition(S.STAGED, A.CHECK_READY),
    (S.STAGED, E.READY): Transition(S.PREFLIGHT, A.PREFLIGHT),
    (S.PREFLIGHT, E.SHADOW_ASKED): Transition(S.SHADOW, A.SHADOW),
    (S.PREFLIGHT, E.PREFLIGHT_PASSED): Transition(S.ACTIVATING, A.ACTIVATE),
    (S.SHADOW, E.SHADOW_PASSED): Transition(S.ACTIVATING, A.ACTIVATE),
    (S.ACTIVATING, E.ACTIVATED): Transition(S.PROBATION, A.OBSERVE),
    (S.PROBATION, E.PROBATION_PASSED): Transition(S.COMMITTED, A.COMMIT),
    (S.PROBATION, E.PROBATION_FAILED): Transition(S.ROLLING_BACK, A.ROLL_BACK),
    (S.ROLLING_BACK, E.ROLLBACK_DONE): Transition(S.ROLLED_BACK, A.DISCARD),
    (S.ROLLING_BACK, E.ROLLBACK_FAILED): Transition(S.ROLLBACK_FAILED, A.NONE),
    # Refused, failed, canceled or superseded while nothing has changed: the staged files go.
    **{(state, E.REJECT): Transition(S.REJECTED, A.DISCARD) for state in (*BEFORE_STAGED, *WAITING, *PROVING)},
    **{(state, E.FAIL): Transition(S.FAILED, A.DISCARD) for state in (*BEFORE_STAGED, *WAITING, *PROVING)},
    **{(state, E.CANCEL): Transition(S.CANCELED, A.DISCARD) for state in (*BEFORE_STAGED, *WAITING, *PROVING)},
    **{(state, E.SUPERSEDE): Transition(S.SUPERSEDED, A.DISCARD) for state in (*BEFORE_STAGED, *WAITING, *PROVING)},
    # Once the pointer may have moved, every way out goes through a rollback to what ran before.
    **{(state, E.FAIL): Transition(S.ROLLING_BACK, A.ROLL_BACK) for state in CHANGED},
    **{(state, E.CANCEL): Transition(S.ROLLING_BACK, A.ROLL_BACK) for state in CHANGED},
    **{(state, E.SUPERSEDE): Transition(S.ROLLING_BACK, A.ROLL_BACK) for state in CHANGED},
}


def transition(state: DeploymentState, event: DeploymentEvent) -> Transition:
    """What follows `event` in `state`; the state itself and no action where the event means nothing there."""
    return TABLE.get((state, event), Transition(state, DeploymentAction.NONE))
