"""Both life cycles: total tables, ends that are ends, and no way around the proofs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_contract import deployment as d
from fleet_contract import rollout as r

SERVER_ONLY = {
    d.DeploymentState.QUEUED,
    d.DeploymentState.NOTIFIED,
    d.DeploymentState.TIMED_OUT,
    d.DeploymentState.REMOVED,
}
ON_DEVICE = set(d.DeploymentState) - SERVER_ONLY


@given(state=st.sampled_from(d.DeploymentState), event=st.sampled_from(d.DeploymentEvent))
def test_the_device_table_is_total(state: d.DeploymentState, event: d.DeploymentEvent) -> None:
    """Every pair has an answer, and a pair without a row changes nothing and asks for nothing."""
    answer = d.transition(state, event)
    if (state, event) not in d.TABLE:
        assert answer == (state, d.DeploymentAction.NONE)


@given(events=st.lists(st.sampled_from(d.DeploymentEvent), max_size=60))
def test_no_path_activates_without_verifying_and_preflight(events: list[d.DeploymentEvent]) -> None:
    """Whatever happens in whatever order, ACTIVATING comes only after VERIFYING and PREFLIGHT."""
    state = d.DeploymentState.IDLE
    seen = [state]
    for event in events:
        state = d.transition(state, event).state
        seen.append(state)
    if d.DeploymentState.ACTIVATING in seen:
        before = seen[: seen.index(d.DeploymentState.ACTIVATING)]
        assert d.DeploymentState.VERIFYING in before
        assert d.DeploymentState.PREFLIGHT in before


def test_verifying_and_preflight_cut_the_graph() -> None:
    """Without VERIFYING, or without PREFLIGHT, ACTIVATING cannot be reached at all."""
    for wall in (d.DeploymentState.VERIFYING, d.DeploymentState.PREFLIGHT):
        assert d.DeploymentState.ACTIVATING not in _reachable(d.DeploymentState.IDLE, without=wall)


def test_every_device_state_can_be_reached_and_left_or_is_an_end() -> None:
    """No state is decoration: all are reachable, and those that are not ends lead to one."""
    assert _reachable(d.DeploymentState.IDLE) == ON_DEVICE
    for state in ON_DEVICE - d.TERMINAL:
        assert _reachable(state) & d.TERMINAL


@given(state=st.sampled_from(sorted(d.TERMINAL)), event=st.sampled_from(d.DeploymentEvent))
def test_an_ended_deployment_stays_ended(state: d.DeploymentState, event: d.DeploymentEvent) -> None:
    """Late events do not bring a deployment back."""
    assert d.transition(state, event).state is state


def test_once_the_pointer_moved_failure_means_rollback() -> None:
    """From ACTIVATING or PROBATION there is no end but COMMITTED or through ROLLING_BACK."""
    reached = _reachable(d.DeploymentState.ACTIVATING, without=d.DeploymentState.ROLLING_BACK)
    assert reached & d.TERMINAL == {d.DeploymentState.COMMITTED}


@given(events=st.lists(st.sampled_from(r.RolloutEvent), max_size=40))
def test_a_rollout_never_leaves_an_end_but_by_an_authorised_rollback(events: list[r.RolloutEvent]) -> None:
    """ROLLED_BACK is final; COMPLETED and ABORTED only lead to ROLLING_BACK, and only when asked."""
    state = r.RolloutState.DRAFT
    for event in events:
        following = r.rollout_transition(state, event)
        if state in r.ROLLOUT_ENDED and following is not state:
            assert (event, following) == (r.RolloutEvent.ROLL_BACK, r.RolloutState.ROLLING_BACK)
            assert state is not r.RolloutState.ROLLED_BACK
        state = following


@given(events=st.lists(st.sampled_from(r.StageEvent), max_size=20))
def test_a_stage_passes_only_after_soaking(events: list[r.StageEvent]) -> None:
    """PASSED is only ever entered from SOAKING, and ends stay ends."""
    state = r.StageState.PENDING
    for event in events:
        following = r.stage_transition(state, event)
        if following is r.StageState.PASSED and following is not state:
            assert state is r.StageState.SOAKING
        if state in r.STAGE_ENDED:
            assert following is state
        state = following


@pytest.mark.parametrize("state", sorted(r.RolloutState))
def test_every_open_rollout_can_be_ended_by_an_operator(state: r.RolloutState) -> None:
    """ABORT or ROLL_BACK works from every state that is not an end."""
    if state in r.ROLLOUT_ENDED or state is r.RolloutState.ROLLING_BACK:
        return
    ends = {r.rollout_transition(state, event) for event in (r.RolloutEvent.ABORT, r.RolloutEvent.ROLL_BACK)}
    assert ends & {r.RolloutState.ABORTED, r.RolloutState.ROLLING_BACK}


def _reachable(start: d.DeploymentState, *, without: d.DeploymentState | None = None) -> set[d.DeploymentState]:
    found, todo = {start}, [start]
    while todo:
        here = todo.pop()
        for event in d.DeploymentEvent:
            there = d.transition(here, event).state
            if there is not without and there not in found:
                found.add(there)
                todo.append(there)
    return found
