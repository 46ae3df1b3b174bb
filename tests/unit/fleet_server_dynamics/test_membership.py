"""Which device belongs to which stage."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_contract.errors import ContractError
from fleet_contract.rollout import DEFAULT_STAGES, StagePlan
from fleet_server.rollout.membership import Candidate, check_stages, stage_members

candidates = st.lists(
    st.builds(
        Candidate, st.text("abc", min_size=1, max_size=8), st.sampled_from(["pi4", "pi5", "jetson"]), st.booleans()
    ),
    unique_by=lambda each: each.device_id,
    max_size=40,
)


@given(candidates)
def test_the_default_stages_reach_everybody_once(found: list[Candidate]) -> None:
    """Every device has exactly one stage, and every hardware is in the first."""
    placed = stage_members("r-1", found, DEFAULT_STAGES)
    assert sorted(each.device_id for each, _ in placed) == sorted(each.device_id for each in found)
    assert {each.hardware for each, stage in placed if stage == 0} == {each.hardware for each in found}


@given(candidates)
def test_the_same_fleet_gives_the_same_stages(found: list[Candidate]) -> None:
    """The order in which devices are listed does not matter."""
    stages = (StagePlan(name="a", fraction=0.3), StagePlan(name="b", fraction=1.0))
    assert stage_members("r-1", found, stages) == stage_members("r-1", found[::-1], stages)


def test_another_rollout_takes_another_canary() -> None:
    """The hash depends on the rollout, so that no device is always first."""
    found = [Candidate(f"pi-{index}", "pi5", online=True) for index in range(50)]
    first = {stage_members(f"r-{index}", found, DEFAULT_STAGES)[0][0].device_id for index in range(20)}
    assert len(first) > 10


def test_a_canary_is_online_where_one_is() -> None:
    """Devices that are there come first within their hardware."""
    found = [Candidate(f"pi-{index}", "pi5", online=index == 7) for index in range(20)]
    assert stage_members("r-1", found, DEFAULT_STAGES)[0][0].device_id == "pi-7"


@pytest.mark.parametrize(("fraction", "size"), [(0.1, 1), (0.05, 1), (0.11, 2), (0.3, 3), (1.0, 10)])
def test_fractions_round_up(fraction: float, size: int) -> None:
    """A tenth of ten devices is one device, a little more is two; floating point adds none."""
    found = [Candidate(f"pi-{index}", "pi5", online=True) for index in range(10)]
    assert len(stage_members("r-1", found, (StagePlan(name="a", fraction=fraction),))) == size


BAD_STAGES = {
    "no stage at all": (),
    "an empty stage": (StagePlan(name="a"),),
    "two stages of one name": (StagePlan(name="a", count=1), StagePlan(name="a", count=2)),
    "a stage without a name": (StagePlan(name="", count=1),),
    "a fraction that shrinks": (StagePlan(name="a", fraction=0.5), StagePlan(name="b", fraction=0.4)),
    "a count that shrinks": (StagePlan(name="a", count=5), StagePlan(name="b", count=4)),
}


@pytest.mark.parametrize("stages", BAD_STAGES.values(), ids=BAD_STAGES.keys())
def test_stages_that_make_no_sense_are_refused(stages: tuple[StagePlan, ...]) -> None:
    """The message says which stage and what was expected."""
    with pytest.raises(ContractError, match="expected"):
        check_stages(stages)
