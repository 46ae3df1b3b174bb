"""Rollouts over a real database: the engine, the service, and what survives a kill."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.api import RolloutCreate, RolloutDeviceView
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import ConflictError, ContractError, NotFoundError
from fleet_contract.rollout import OnFailure, RolloutEvent, RolloutState, StageGate, StagePlan, StageState
from tests.fakes.server_core import MODEL, open_store
from tests.fakes.server_dynamics import Dynamics, StoredFleet, dynamics, make_director
from tests.fakes.server_rollout_fleet import FakeDevice, Fate, installed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sqlalchemy.engine import Connection

    from fleet_contract.desired import SlotDesired
    from fleet_server.director import Director

TWO_STAGES = (
    StagePlan(name="canary", count=1, soak_s=20.0, step_timeout_s=300.0),
    StagePlan(name="all", fraction=1.0, soak_s=0.0, step_timeout_s=300.0, in_flight=2),
)
REQUEST = RolloutCreate(model=MODEL, version=2, stages=TWO_STAGES)


class Killed(BaseException):
    """The server process dies here."""


class MortalDirector:
    """A director whose process dies before the nth document; `alive` counts down."""

    def __init__(self, inner: Director, alive: int) -> None:
        self._inner = inner
        self.alive = alive

    def assign(
        self, device_id: str, slot_desired: SlotDesired | None, *, connection: Connection, slot: str = "main"
    ) -> int:
        """Signs, until it dies."""
        self.alive -= 1
        if self.alive < 0:
            raise Killed
        return self._inner.assign(device_id, slot_desired, connection=connection, slot=slot)

    def slots(self, device_id: str, *, connection: Connection) -> tuple[SlotDesired, ...]:
        """As the real one."""
        return self._inner.slots(device_id, connection=connection)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Dynamics]:
    """The services over a fresh database with two releases."""
    with dynamics(tmp_path) as made:
        made.publish(1)
        made.publish(2)
        yield made


def fleet(served: Dynamics, *fates: Fate) -> StoredFleet:
    """Devices that run version 1, each with its fate under version 2."""
    old_sha = served.registry.get(MODEL, 1).release_sha256
    return StoredFleet(
        served,
        [
            TrueDevice(f"pi-{index}", fate=fate, active=installed(old_sha, 1), new_sha=new_sha(served))
            for index, fate in enumerate(fates)
        ],
    )


def new_sha(served: Dynamics) -> str:
    """The digest of version 2."""
    return served.registry.get(MODEL, 2).release_sha256


class TrueDevice(FakeDevice):
    """A simulated device whose new release is a registered one."""

    def __init__(self, device_id: str, *, fate: Fate, active: object, new_sha: str) -> None:
        super().__init__(device_id, fate=fate, active=active)  # type: ignore[arg-type]
        self._new_sha = new_sha

    def is_new(self, desired: SlotDesired) -> bool:
        """Whether the desired release is the one that its fate is about."""
        return desired.release_sha256 == self._new_sha


def states(devices: list[tuple[int, RolloutDeviceView]]) -> set[DeploymentState]:
    """The states of a rollout's devices."""
    return {view.state for _, view in devices}


def test_a_good_release_reaches_everybody_and_becomes_champion(served: Dynamics) -> None:
    """Canary first, then all; at the end every device runs it and `champion` is on it."""
    simulated = fleet(served, *[Fate.COMMIT] * 5)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    served.engine.step_all()
    assert sum(view.state is DeploymentState.NOTIFIED for _, view in served.rollouts.devices(rollout.id)) == 1
    assert simulated.run(rollout.id) == RolloutState.COMPLETED
    assert states(served.rollouts.devices(rollout.id)) == {DeploymentState.COMMITTED}
    assert all(device.active and device.active.version == 2 for device in simulated.devices.values())
    champion = served.registry.champion(MODEL)
    assert champion is not None
    assert champion.version == 2
    assert served.store.audit.verify().intact


def test_a_bad_canary_stops_there_and_goes_back(served: Dynamics) -> None:
    """One failed canary: no other device gets the release, the canary returns, an alert tells why."""
    simulated = fleet(served, *[Fate.FAIL] * 4)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    assert simulated.run(rollout.id) == RolloutState.ROLLED_BACK
    view = served.rollouts.get(rollout.id)
    assert [stage.state for stage in view.stages] == [StageState.FAILED, StageState.SKIPPED]
    assert sum(device.deployment_id != "" for device in simulated.devices.values()) == 1
    assert all(device.active and device.active.version == 1 for device in simulated.devices.values())
    assert [alert.kind for alert in served.alerts.page()] == ["rollout-failed"]
    assert served.registry.champion(MODEL) is None


def test_a_relapse_while_soaking_counts(served: Dynamics) -> None:
    """A device that rolls itself back after it had committed fails its stage."""
    simulated = fleet(served, *[Fate.RELAPSE] * 3)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    assert simulated.run(rollout.id) == RolloutState.ROLLED_BACK
    assert served.rollouts.get(rollout.id).stages[0].state is StageState.FAILED


def test_an_offline_device_gets_the_release_late(served: Dynamics) -> None:
    """A rollout completes without a device that is away; when it comes back it is served."""
    simulated = fleet(served, *[Fate.COMMIT] * 3)
    away = simulated.devices["pi-1"]
    away.online = False
    simulated.step()
    rollout = served.rollouts.create(REQUEST, actor="ann")
    assert simulated.run(rollout.id) == RolloutState.COMPLETED
    assert DeploymentState.QUEUED in states(served.rollouts.devices(rollout.id))
    away.online = True
    for _ in range(12):
        simulated.step()
        served.engine.step_all()
    assert states(served.rollouts.devices(rollout.id)) == {DeploymentState.COMMITTED}


def test_rolling_back_a_completed_rollout_restores_the_champion(served: Dynamics) -> None:
    """Taking a good release back brings every device and the alias to the version before."""
    served.registry.set_alias(MODEL, "champion", 1, actor="ann")
    simulated = fleet(served, *[Fate.COMMIT] * 3)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    simulated.run(rollout.id)
    served.rollouts.move(rollout.id, RolloutEvent.ROLL_BACK, actor="ann")
    assert simulated.run(rollout.id) == RolloutState.ROLLED_BACK
    assert {device.active.version for device in simulated.devices.values() if device.active} == {1}
    champion = served.registry.champion(MODEL)
    assert champion is not None
    assert champion.version == 1


@pytest.mark.parametrize("fates", [[Fate.COMMIT] * 4, [Fate.ROLL_BACK] * 4], ids=["good", "bad"])
@pytest.mark.parametrize("alive", [0, 2, 3])
def test_a_killed_server_goes_on_where_it_was(tmp_path: Path, fates: list[Fate], alive: int) -> None:
    """Whichever document the server dies over, a new server brings the rollout to the same end."""
    with open_store(tmp_path) as store:
        director = MortalDirector(make_director(store), alive)
        served = Dynamics(store, tmp_path, director=director)  # type: ignore[arg-type]
        served.publish(1)
        served.publish(2)
        simulated = fleet(served, *fates)
        rollout = served.rollouts.create(REQUEST, actor="ann")
        try:
            simulated.run(rollout.id)
        except Killed:
            simulated.served = Dynamics(store, tmp_path)
        state = simulated.run(rollout.id)
        expected = RolloutState.COMPLETED if fates[0] is Fate.COMMIT else RolloutState.ROLLED_BACK
        assert state == expected
        wanted = 2 if fates[0] is Fate.COMMIT else 1
        assert {device.active.version for device in simulated.devices.values() if device.active} == {wanted}
        given = [view for _, view in simulated.served.rollouts.devices(rollout.id)]
        assert len({view.device_id for view in given}) == 4


def test_a_pause_by_a_gate_is_lifted_by_whoever_resumes(served: Dynamics) -> None:
    """With `on_failure: pause` the failure waits for a person, who accepts it by resuming."""
    stages = (
        StagePlan(name="all", fraction=1.0, soak_s=0.0, step_timeout_s=300.0, gate=StageGate(min_success_fraction=0.0)),
    )
    simulated = fleet(served, Fate.FAIL, Fate.COMMIT, Fate.COMMIT)
    request = RolloutCreate(model=MODEL, version=2, stages=stages, on_failure=OnFailure.PAUSE)
    rollout = served.rollouts.create(request, actor="ann")
    assert simulated.run(rollout.id) == RolloutState.PAUSED
    served.rollouts.move(rollout.id, RolloutEvent.RESUME, actor="bea")
    assert simulated.run(rollout.id) == RolloutState.COMPLETED


def test_an_abort_takes_the_release_from_devices_at_work(served: Dynamics) -> None:
    """After an abort, devices that were at work run what they ran; those that had committed keep the release."""
    simulated = fleet(served, Fate.COMMIT, Fate.HANG, Fate.HANG)
    stages = (StagePlan(name="all", fraction=1.0, soak_s=0.0, step_timeout_s=3000.0),)
    rollout = served.rollouts.create(RolloutCreate(model=MODEL, version=2, stages=stages), actor="ann")
    simulated.run(rollout.id, ticks=12)
    served.rollouts.move(rollout.id, RolloutEvent.ABORT, actor="ann")
    for _ in range(4):
        served.engine.step_all()
        simulated.step()
    versions = sorted(device.active.version for device in simulated.devices.values() if device.active)
    assert versions == [1, 1, 2]
    assert states(served.rollouts.devices(rollout.id)) == {DeploymentState.COMMITTED, DeploymentState.REMOVED}


def test_a_rollout_that_waits_for_approval_gives_nothing(served: Dynamics) -> None:
    """Until somebody approves, no desired document changes."""
    simulated = fleet(served, Fate.COMMIT)
    request = RolloutCreate(model=MODEL, version=2, stages=TWO_STAGES, approval=True)
    rollout = served.rollouts.create(request, actor="ann")
    assert simulated.run(rollout.id, ticks=3) == RolloutState.PENDING_APPROVAL
    assert served.director.desired_bytes("pi-0") is None
    served.rollouts.move(rollout.id, RolloutEvent.APPROVE, actor="bea")
    assert simulated.run(rollout.id) == RolloutState.COMPLETED


def test_two_rollouts_do_not_fight_over_a_device(served: Dynamics) -> None:
    """A second rollout on the same slot and devices is refused, with the first one's name."""
    fleet(served, Fate.COMMIT)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    with pytest.raises(ConflictError, match=rollout.id):
        served.rollouts.create(REQUEST, actor="bea")


def test_a_selector_chooses_by_hardware_and_label(served: Dynamics) -> None:
    """Only devices that fit every key of the selector take part."""
    served.enrol("jet-1", hardware="jetson", labels={"site": "roof"})
    served.enrol("jet-2", hardware="jetson")
    served.enrol("pi-1", labels={"site": "roof"})
    request = RolloutCreate(model=MODEL, version=2, stages=TWO_STAGES, selector={"hardware": "jetson", "site": "roof"})
    rollout = served.rollouts.create(request, actor="ann")
    assert [view.device_id for _, view in served.rollouts.devices(rollout.id)] == ["jet-1"]


def test_what_cannot_be_rolled_out_is_refused(served: Dynamics) -> None:
    """No such release, no such device, stages that shrink: each is an error and nothing is stored."""
    fleet(served, Fate.COMMIT)
    shrinking = (StagePlan(name="a", fraction=0.9), StagePlan(name="b", fraction=0.1))
    with pytest.raises(NotFoundError):
        served.rollouts.create(RolloutCreate(model=MODEL, version=9), actor="ann")
    with pytest.raises(NotFoundError, match="no device"):
        served.rollouts.create(RolloutCreate(model=MODEL, version=2, selector={"hardware": "cray"}), actor="ann")
    with pytest.raises(ContractError, match="stage b"):
        served.rollouts.create(RolloutCreate(model=MODEL, version=2, stages=shrinking), actor="ann")
    assert served.rollouts.page() == []


def test_what_the_state_does_not_allow_is_a_conflict(served: Dynamics) -> None:
    """Approving a running rollout or resuming one that runs is refused and changes nothing."""
    fleet(served, Fate.COMMIT)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    served.engine.step_all()
    for event in (RolloutEvent.APPROVE, RolloutEvent.RESUME):
        with pytest.raises(ConflictError, match="running"):
            served.rollouts.move(rollout.id, event, actor="ann")
    assert served.rollouts.get(rollout.id).state is RolloutState.RUNNING


def test_a_decommissioned_device_leaves_its_rollout(served: Dynamics) -> None:
    """A device that is removed from the fleet does not hold its rollout up."""
    simulated = fleet(served, Fate.COMMIT, Fate.COMMIT)
    rollout = served.rollouts.create(REQUEST, actor="ann")
    served.engine.step_all()
    canary = next(v.device_id for _, v in served.rollouts.devices(rollout.id) if v.state is DeploymentState.NOTIFIED)
    other = next(device_id for device_id in simulated.devices if device_id != canary)
    with served.database.transaction() as connection:
        served.devices.remove(other, connection=connection)
    del simulated.devices[other]
    simulated.run(rollout.id, ticks=30)
    assert DeploymentState.REMOVED in states(served.rollouts.devices(rollout.id))
