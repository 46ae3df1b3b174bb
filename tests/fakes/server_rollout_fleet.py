"""Simulated devices under a rollout: they take desired documents, move through the deployment's states, and report.

The same devices serve the pure plan (`PlannedFleet`) and the engine over a real database.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from fleet_contract.deployment import DeploymentError, DeploymentState, ErrorClass
from fleet_contract.messages import InstalledRelease, SlotReport
from fleet_server.rollout import documents
from fleet_server.rollout.actions import Action, Give, TakeBack, Withdraw, apply
from fleet_server.rollout.plan import decide
from fleet_server.rollout.snapshot import Observation, Rollout

if TYPE_CHECKING:
    import random

    from fleet_contract.desired import SlotDesired

S = DeploymentState
START = datetime(2026, 1, 1, tzinfo=UTC)
OLD_SHA, NEW_SHA = "0" * 64, "1" * 64
PATH = (S.ACCEPTED, S.DOWNLOADING, S.VERIFYING, S.STAGED, S.PREFLIGHT, S.ACTIVATING, S.PROBATION, S.COMMITTED)
ERROR = DeploymentError(kind=ErrorClass.RUNTIME, code="simulated")


class Fate(StrEnum):
    """What becomes of a device that gets the release."""

    COMMIT = "commit"
    FAIL = "fail"
    ROLL_BACK = "roll-back"
    REJECT = "reject"
    HANG = "hang"
    RELAPSE = "relapse"


def installed(sha: str, version: int) -> InstalledRelease:
    """A release on a device."""
    return InstalledRelease(model="digits", version=version, variant="tflite-int8", release_sha256=sha)


@dataclass
class FakeDevice:
    """One device: what it is asked, what it runs, what it says."""

    device_id: str
    hardware: str = "pi5"
    fate: Fate = Fate.COMMIT
    online: bool = True
    stuck_on_return: bool = False
    rev: int = 0
    desired: SlotDesired | None = None
    active: InstalledRelease | None = field(default_factory=lambda: installed(OLD_SHA, 1))
    deployment_id: str = ""
    state: DeploymentState = S.IDLE
    reported: SlotReport | None = None
    reported_rev: int = 0
    had: InstalledRelease | None = None

    def assign(self, desired: SlotDesired | None) -> int:
        """A new desired document; its revision."""
        self.rev += 1
        self.desired = desired
        return self.rev

    def step(self) -> None:
        """One step further, if it is online; then it reports."""
        if not self.online:
            return
        if self.rev > self.reported_rev:
            self.reported_rev = self.rev
            if self.desired and self.desired.deployment_id != self.deployment_id:
                self._begin(self.desired)
        elif self.desired and self.desired.deployment_id == self.deployment_id:
            self._continue(self.desired)
        self.reported = SlotReport(
            slot="main",
            deployment_id=self.deployment_id,
            state=self.state,
            since=START,
            active=self.active,
            error=ERROR if self.state in (S.FAILED, S.ROLLED_BACK, S.REJECTED) else None,
        )

    def is_new(self, desired: SlotDesired) -> bool:
        """Whether the desired release is the one that its fate is about."""
        return desired.release_sha256 == NEW_SHA

    def _begin(self, desired: SlotDesired) -> None:
        if self.state is S.PROBATION and self.had is not None:
            self.active = self.had  # superseded in probation: back to what ran before
        self.deployment_id = desired.deployment_id
        same = self.active is not None and self.active.release_sha256 == desired.release_sha256
        self.state = S.ALREADY_INSTALLED if same else S.ACCEPTED

    def _continue(self, desired: SlotDesired) -> None:
        new = self.is_new(desired)
        if self.state is S.COMMITTED and new and self.fate is Fate.RELAPSE:
            self.state, self.active = S.ROLLED_BACK, self.had
            return
        if self.state not in PATH[:-1]:
            return
        following = PATH[PATH.index(self.state) + 1]
        if new and following is S.VERIFYING and self.fate is Fate.REJECT:
            self.state = S.REJECTED
        elif new and following is S.ACTIVATING and self.fate is Fate.FAIL:
            self.state = S.FAILED
        elif new and following is S.COMMITTED and self.fate is Fate.ROLL_BACK:
            self.state, self.active = S.ROLLED_BACK, self.had
        elif (new and self.fate is Fate.HANG and following is S.PREFLIGHT) or (not new and self.stuck_on_return):
            return
        else:
            self._enter(following, desired)

    def _enter(self, state: DeploymentState, desired: SlotDesired) -> None:
        if state is S.ACTIVATING:
            self.had = self.active
            self.active = installed(desired.release_sha256, desired.version)
        self.state = state

    def observation(self) -> Observation:
        """What the server sees."""
        return Observation(
            online=self.online,
            slot=self.reported,
            reported_rev=self.reported_rev,
            desired_deployment=self.desired.deployment_id if self.desired else "",
        )


class PlannedFleet:
    """A rollout driven by the pure plan over simulated devices; `check` sees it after every application."""

    def __init__(self, rollout: Rollout, devices: list[FakeDevice]) -> None:
        self.rollout = rollout
        self.devices = {device.device_id: device for device in devices}
        self.now = START
        self.history: list[Rollout] = [rollout]
        self.actions: list[Action] = []

    def tick(self, seconds: float = 10.0) -> None:
        """The server decides until nothing is left; then time passes."""
        seen = {device.device_id: device.observation() for device in self.devices.values()}
        self.rollout = replace(self.rollout, observations=seen)
        for _ in range(500):
            actions = decide(self.rollout, self.now)
            if not actions:
                break
            before = self.rollout
            self.rollout = self._sign(before, apply(before, actions, self.now), actions)
            self.history.append(self.rollout)
            self.actions += actions
        else:
            raise AssertionError(f"never settles: {actions}")
        self.now += timedelta(seconds=seconds)

    def step_devices(self, rng: random.Random, share: float = 1.0) -> None:
        """Some devices go a step further."""
        for device in self.devices.values():
            if rng.random() < share:
                device.step()

    def _sign(self, before: Rollout, after: Rollout, actions: list[Action]) -> Rollout:
        members = {member.device_id: member for member in after.members}
        for action in actions:
            if not isinstance(action, Give | Withdraw | TakeBack):
                continue
            device, member = self.devices[action.device_id], members[action.device_id]
            if isinstance(action, Give):
                member = documents.remember(before, member, device.reported, device.desired)
                wanted: SlotDesired | None = documents.forward(before, member)
            else:
                wanted = documents.backward(before, member)
            members[action.device_id] = replace(member, return_rev=device.assign(wanted))
        return replace(after, members=tuple(members.values()))
