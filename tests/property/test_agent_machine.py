"""Whatever happens and wherever the power is cut, a slot converges and something runnable stays active."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from device_agent.machine import RESTING, Course, crashed, happen, interrupted, resume, want
from device_agent.slot_record import SlotRecord
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import DeploymentAction, DeploymentError, DeploymentEvent, DeploymentState, ErrorClass
from fleet_contract.messages import InstalledRelease
from tests.fakes.agent_releases import make_release
from tests.fakes.contract_documents import NOON

if TYPE_CHECKING:
    from collections.abc import Callable

S, E, A = DeploymentState, DeploymentEvent, DeploymentAction
RELEASES = {version: make_release(version) for version in range(1, 5)}
ERROR = DeploymentError(kind=ErrorClass.NETWORK, code="x", retryable=True)
FINAL = DeploymentError(kind=ErrorClass.RUNTIME, code="y")


def interpret(record: SlotRecord, action: DeploymentAction, *, good: bool) -> Course:
    """How an action ends, well or badly."""
    outcomes: dict[DeploymentAction, tuple[DeploymentEvent, DeploymentEvent]] = {
        A.DOWNLOAD: (E.DOWNLOADED, E.NO_VARIANT_FITS),
        A.SCHEDULE_RETRY: (E.RETRY_DUE, E.RETRY_DUE),
        A.VERIFY: (E.VERIFIED, E.REJECT),
        A.CHECK_READY: (E.READY, E.READY),
        A.PREFLIGHT: (E.PREFLIGHT_PASSED, E.FAIL),
        A.ACTIVATE: (E.ACTIVATED, E.FAIL),
        A.OBSERVE: (E.PROBATION_PASSED, E.PROBATION_FAILED),
        A.ROLL_BACK: (E.ROLLBACK_DONE, E.ROLLBACK_DONE),
    }
    if action not in outcomes:
        return Course(record, (), A.NONE)
    staged = None
    if action is A.PREFLIGHT and record.desired is not None:
        staged = InstalledRelease(
            model="eye",
            version=record.desired.version,
            variant="tflite-f32",
            release_sha256=record.desired.release_sha256,
        )
    return happen(record, outcomes[action][not good], NOON, error=None if good else FINAL, staged=staged)


@dataclass
class Device:
    """A slot whose record is all that survives a power cut."""

    disk: bytes = field(default_factory=lambda: encode(SlotRecord(slot="main", since=NOON)))
    action: DeploymentAction = A.NONE
    deployments: int = 0
    ever_committed: bool = False
    proven: dict[str, set[DeploymentState]] = field(default_factory=dict)

    @property
    def record(self) -> SlotRecord:
        """As it is on the disk."""
        return decode(self.disk, SlotRecord)

    def take(self, course: Course, *, external: bool = False) -> None:
        """Persists a course and keeps the invariants in sight."""
        for step in course.steps:
            assert step.record.desired is not None
            seen = self.proven.setdefault(step.record.desired.deployment_id, set())
            if step.record.state is S.ACTIVATING:
                assert {S.VERIFYING, S.PREFLIGHT} <= seen, "activated without proof"
            seen.add(step.record.state)
            self.ever_committed |= step.record.state is S.COMMITTED
        before = self.record
        self.disk = encode(course.record)
        if before.active != course.record.active:
            assert {step.record.state for step in course.steps} & {S.PROBATION, S.ROLLED_BACK}
        if self.ever_committed:
            assert course.record.active is not None, "nothing runnable is active"
        if course.steps or not external:
            self.action = course.action

    def want(self, version: int) -> None:
        """A new desired document."""
        self.deployments += 1
        self.take(want(self.record, RELEASES[version].desired(f"d-{self.deployments}"), NOON), external=True)

    def restart(self, *, clean: bool) -> None:
        """All that was not on the disk is gone."""
        self.take(resume(self.record, NOON, clean=clean))

    def settle(self) -> None:
        """Lets everything go well from here on."""
        for _ in range(60):
            if self.action is A.NONE:
                break
            self.take(interpret(self.record, self.action, good=True))
        assert self.record.state in RESTING
        assert self.record.queued is None


MOVES: dict[str, Callable[[Device], None]] = {
    **{f"want {version}": lambda device, version=version: device.want(version) for version in RELEASES},  # type: ignore[misc]  # mypy does not infer a lambda's default
    "good": lambda device: device.take(interpret(device.record, device.action, good=True)),
    "bad": lambda device: device.take(interpret(device.record, device.action, good=False)),
    "interrupted": lambda device: (
        device.take(interrupted(device.record, ERROR, NOON), external=True) if device.action is A.DOWNLOAD else None
    ),
    "host crash": lambda device: device.take(crashed(device.record, NOON), external=True),
    "cancel": lambda device: device.take(happen(device.record, E.CANCEL, NOON), external=True),
    "power cut": lambda device: device.restart(clean=False),
    "restart": lambda device: device.restart(clean=True),
}


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=60))
def test_any_history_converges_and_keeps_something_runnable(moves: list[str]) -> None:
    """After any moves a restart and good luck lead to rest; `take` checks the invariants at every step."""
    device = Device()
    for move in moves:
        MOVES[move](device)
    device.restart(clean=False)
    device.settle()


@given(cut_after=st.integers(0, 12), clean=st.booleans())
def test_a_power_cut_at_any_point_of_a_good_deployment_still_commits(cut_after: int, *, clean: bool) -> None:
    """One cut costs nothing but time."""
    device = Device()
    device.want(1)
    device.settle()
    device.want(2)
    for _ in range(cut_after):
        device.take(interpret(device.record, device.action, good=True))
    device.restart(clean=clean)
    device.settle()
    record = device.record
    assert record.state is S.COMMITTED
    assert record.active is not None
    assert record.active.version == 2
    assert record.previous is not None
    assert record.previous.version == 1
