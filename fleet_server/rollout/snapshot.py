"""A rollout as one value: what the pure plan looks at and what the engine stores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from fleet_contract.deployment import TERMINAL, DeploymentError, DeploymentState
from fleet_contract.desired import DownloadPolicy, PreflightPolicy, ProbationPolicy, SlotDesired
from fleet_contract.messages import InstalledRelease, SlotReport
from fleet_contract.rollout import OnFailure, RolloutState, StagePlan, StageState


class Return(StrEnum):
    """How far a device is on its way back to what it ran before."""

    NONE = "none"
    ASKED = "asked"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage; `accepted_failures` are those that a person has seen and let pass by resuming."""

    plan: StagePlan
    state: StageState = StageState.PENDING
    started_at: datetime | None = None
    soaking_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str = ""
    accepted_failures: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    """One device of a rollout. `given` says that its desired document names (or named, at its end) the release.

    `previous` is what its slot ran before (None: nothing), once `previous_known`; `return_rev` the revision of
    the desired document that asks for it back.
    """

    device_id: str
    hardware: str
    stage: int
    progressed_at: datetime
    state: DeploymentState = DeploymentState.QUEUED
    attempt: int = 0
    given: bool = False
    previous: SlotDesired | None = None
    previous_known: bool = False
    variant: str = ""
    error: DeploymentError | None = None
    back: Return = Return.NONE
    return_rev: int = 0

    @property
    def busy(self) -> bool:
        """Whether it is at work on the release."""
        return self.given and self.state not in TERMINAL


@dataclass(frozen=True, slots=True)
class Observation:
    """What is known of a device now. `desired_deployment` is what its desired document asks of the slot."""

    online: bool = False
    removed: bool = False
    slot: SlotReport | None = None
    reported_rev: int = 0
    desired_deployment: str = ""
    unhealthy: str = ""
    """Why the device does not count as healthy although it has committed; empty while it does."""


NOTHING_KNOWN = Observation()


@dataclass(frozen=True, slots=True)
class Policies:
    """What devices are told to keep to with the release."""

    probation: ProbationPolicy = field(default_factory=ProbationPolicy)
    preflight: PreflightPolicy = field(default_factory=PreflightPolicy)
    download: DownloadPolicy = field(default_factory=DownloadPolicy)


@dataclass(frozen=True, slots=True)
class Rollout:
    """A rollout, its stages in order and its members in the order in which they are served."""

    id: str
    state: RolloutState
    on_failure: OnFailure
    model: str
    version: int
    release_sha256: str
    slot: str
    stages: tuple[Stage, ...]
    members: tuple[Member, ...]
    policies: Policies = field(default_factory=Policies)
    reason: str = ""
    ended_at: datetime | None = None
    observations: Mapping[str, Observation] = field(default_factory=dict)

    @property
    def probation_limit_s(self) -> float:
        """How long a device may rightly stay in PROBATION."""
        return self.policies.probation.max_duration_s

    def seen(self, device_id: str) -> Observation:
        """What is known of a device."""
        return self.observations.get(device_id, NOTHING_KNOWN)

    def deployment_id(self, member: Member) -> str:
        """Names the member's present attempt at the release."""
        return f"{self.id}-{member.attempt}"

    @property
    def return_deployment_id(self) -> str:
        """Names the deployments that take devices back."""
        return f"{self.id}-back"


def runs(installed: InstalledRelease | None, wanted: SlotDesired) -> bool:
    """Whether what is installed is the release that is wanted."""
    return installed is not None and installed.release_sha256 == wanted.release_sha256
