"""Random fleets with random failures under the pure rollout plan."""

from __future__ import annotations

import random
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet_contract.deployment import FAILURES, TERMINAL, DeploymentState
from fleet_contract.desired import ProbationPolicy
from fleet_contract.rollout import ROLLOUT_ENDED, OnFailure, RolloutState, StageGate, StagePlan, StageState
from fleet_server.rollout.membership import Candidate, stage_members
from fleet_server.rollout.plan import decide
from fleet_server.rollout.snapshot import Member, Observation, Policies, Return, Rollout, Stage
from tests.fakes.server_rollout_fleet import NEW_SHA, OLD_SHA, START, FakeDevice, Fate, PlannedFleet

SLOW_OK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@dataclass
class Case:
    """A fleet and its rollout."""

    fleet: PlannedFleet
    rng: random.Random


@st.composite
def plans(draw: st.DrawFn) -> tuple[StagePlan, ...]:
    """One to four growing stages that end with everybody."""
    fractions = sorted(draw(st.lists(st.floats(0.01, 0.9), max_size=3)))
    stages = []
    for index, fraction in enumerate([*fractions, 1.0]):
        gate = StageGate(
            max_failures=draw(st.integers(0, 3)),
            min_samples=draw(st.integers(1, 4)),
            min_success_fraction=draw(st.sampled_from([0.0, 0.5, 0.9, 1.0])),
        )
        stages.append(
            StagePlan(
                name=f"s{index}",
                fraction=fraction,
                stratify=draw(st.booleans()),
                in_flight=draw(st.integers(1, 5)),
                soak_s=draw(st.sampled_from([0.0, 30.0])),
                step_timeout_s=draw(st.sampled_from([60.0, 200.0])),
                gate=gate,
            )
        )
    return tuple(stages)


@st.composite
def cases(draw: st.DrawFn, fates: tuple[Fate, ...] = tuple(Fate)) -> Case:
    """A random fleet under a random plan."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    size = draw(st.integers(1, 20))
    devices = [
        FakeDevice(
            f"pi-{index}",
            hardware=rng.choice(["pi4", "pi5", "jetson"]),
            fate=draw(st.sampled_from(fates)),
            online=rng.random() < 0.8,
            stuck_on_return=rng.random() < 0.05,
        )
        for index in range(size)
    ]
    for device in devices:
        was_online, device.online = device.online, True
        device.step()
        device.online = was_online
    stages = draw(plans())
    candidates = [Candidate(device.device_id, device.hardware, device.online) for device in devices]
    members = tuple(
        Member(each.device_id, each.hardware, stage, progressed_at=START)
        for each, stage in stage_members("r-1", candidates, stages)
    )
    rollout = Rollout(
        id="r-1",
        state=RolloutState.SCHEDULED,
        on_failure=draw(st.sampled_from(OnFailure)),
        model="digits",
        version=2,
        release_sha256=NEW_SHA,
        slot="main",
        stages=tuple(Stage(plan) for plan in stages),
        members=members,
        policies=Policies(probation=ProbationPolicy(max_duration_s=100.0)),
    )
    return Case(PlannedFleet(rollout, devices), rng)


def run(case: Case, ticks: int = 400) -> Rollout:
    """Runs until the rollout has ended or pauses; devices come and go in the first half, and are all there later."""
    for tick in range(ticks):
        case.fleet.tick()
        if case.fleet.rollout.state in ROLLOUT_ENDED | {RolloutState.PAUSED}:
            break
        case.fleet.step_devices(case.rng, 0.7)
        for device in case.fleet.devices.values():
            if tick > ticks // 4:
                device.online = True
            elif case.rng.random() < 0.05:
                device.online = not device.online
    return case.fleet.rollout


def busy(rollout: Rollout, index: int) -> int:
    """Devices of a stage that are at work."""
    return sum(member.busy for member in rollout.members if member.stage == index and member.back is Return.NONE)


@SLOW_OK
@given(cases())
def test_every_rollout_comes_to_an_end(case: Case) -> None:
    """Whatever devices do, a rollout ends or waits for a person, and its stages end with it."""
    rollout = run(case)
    assert rollout.state in ROLLOUT_ENDED | {RolloutState.PAUSED}
    if rollout.state is not RolloutState.PAUSED:
        assert all(stage.ended_at is not None for stage in rollout.stages)


@SLOW_OK
@given(cases())
def test_no_stage_exceeds_in_flight(case: Case) -> None:
    """At no moment are more devices of a stage at work than its plan allows."""
    run(case)
    for moment in case.fleet.history:
        if moment.state is RolloutState.RUNNING:
            for index, stage in enumerate(moment.stages):
                assert busy(moment, index) <= stage.plan.in_flight


@SLOW_OK
@given(cases())
def test_a_stage_begins_only_after_the_one_before_has_passed(case: Case) -> None:
    """A failed or unfinished stage never lets another begin, nor gives a device of a later stage the release."""
    run(case)
    for moment in case.fleet.history:
        for index, stage in enumerate(moment.stages[1:], start=1):
            begun = stage.started_at is not None or any(m.given for m in moment.members if m.stage == index)
            if begun:
                before = moment.stages[index - 1]
                assert before.state in (StageState.PASSED, StageState.SKIPPED)
                assert before.ended_at is not None


@SLOW_OK
@given(cases((Fate.FAIL, Fate.ROLL_BACK, Fate.REJECT, Fate.HANG)))
def test_a_release_that_always_fails_stays_in_the_first_stage(case: Case) -> None:
    """When every device fails, no gate lets a second stage begin, and the rollout never completes."""
    rollout = run(case)
    assert max((member.stage for member in rollout.members if member.attempt), default=0) == 0
    assert rollout.state is not RolloutState.COMPLETED


@SLOW_OK
@given(cases((Fate.COMMIT,)))
def test_a_good_release_reaches_everybody(case: Case) -> None:
    """When every device commits, either all have it at the end or a person or a timer stopped it."""
    for device in case.fleet.devices.values():
        device.online = True
    for _ in range(400):
        case.fleet.tick()
        case.fleet.step_devices(case.rng)
        if case.fleet.rollout.state in ROLLOUT_ENDED:
            break
    assert case.fleet.rollout.state is RolloutState.COMPLETED
    assert all(member.state is DeploymentState.COMMITTED for member in case.fleet.rollout.members)


@SLOW_OK
@given(cases())
def test_rolling_back_reaches_every_device_that_got_the_release(case: Case) -> None:
    """After a rollback each device runs what it ran before, or is named as offline or as failed to return."""
    rollout = run(case)
    if rollout.state is not RolloutState.ROLLED_BACK:
        return
    for member in rollout.members:
        device = case.fleet.devices[member.device_id]
        if not member.given:
            assert device.active is None or device.active.release_sha256 == OLD_SHA
        elif member.back is Return.DONE:
            assert device.active is not None
            assert device.active.release_sha256 == OLD_SHA
        else:
            assert member.device_id in rollout.reason
            assert member.back is Return.FAILED or not device.online


@SLOW_OK
@given(cases())
def test_failures_are_final_and_explained(case: Case) -> None:
    """A device that counts as failed counts so to the end, and an aborted rollout has no open device."""
    rollout = run(case)
    failed: set[str] = set()
    for moment in case.fleet.history:
        if moment.state is not RolloutState.RUNNING:
            continue
        now_failed = {member.device_id for member in moment.members if member.state in FAILURES}
        assert failed <= now_failed
        failed = now_failed
    if rollout.state is RolloutState.ABORTED:
        assert all(member.state in TERMINAL for member in rollout.members)


@SLOW_OK
@given(cases(), st.sampled_from(RolloutState), st.data())
def test_the_plan_answers_for_every_state(case: Case, state: RolloutState, data: st.DataObject) -> None:
    """Whatever a rollout, its members and its devices look like, `decide` gives actions and raises nothing."""
    from dataclasses import replace

    members = tuple(
        replace(
            member,
            state=data.draw(st.sampled_from(DeploymentState)),
            given=data.draw(st.booleans()),
            back=data.draw(st.sampled_from(Return)),
        )
        for member in case.fleet.rollout.members
    )
    stages = tuple(replace(stage, state=data.draw(st.sampled_from(StageState))) for stage in case.fleet.rollout.stages)
    seen = {member.device_id: Observation(online=data.draw(st.booleans())) for member in members}
    rollout = replace(case.fleet.rollout, state=state, members=members, stages=stages, observations=seen)
    assert isinstance(decide(rollout, START), list)
