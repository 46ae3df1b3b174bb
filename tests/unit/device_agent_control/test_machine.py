"""The decisions about one slot."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from device_agent.machine import RESUME, Course, crashed, fell_back, happen, interrupted, resume, want
from device_agent.slot_record import SlotRecord
from fleet_contract.deployment import (
    TABLE,
    TERMINAL,
    DeploymentAction,
    DeploymentError,
    DeploymentEvent,
    DeploymentState,
    ErrorClass,
)
from fleet_contract.desired import DownloadPolicy, ProbationPolicy
from fleet_contract.messages import InstalledRelease
from tests.fakes.agent_releases import make_release
from tests.fakes.contract_documents import NOON

S, E, A = DeploymentState, DeploymentEvent, DeploymentAction
ONE, TWO = make_release(1), make_release(2)
BROKEN = DeploymentError(kind=ErrorClass.NETWORK, code="broken", retryable=True)


def installed(version: int) -> InstalledRelease:
    """Version 1 or 2, installed."""
    release = ONE if version == 1 else TWO
    return InstalledRelease(model="eye", version=version, variant="tflite-f32", release_sha256=release.sha256)


def slot(state: DeploymentState = S.COMMITTED, **changes: object) -> SlotRecord:
    """A slot that runs version 1, with a deployment of version 2 in `state`."""
    base = SlotRecord(slot="main", since=NOON, state=state, desired=TWO.desired("d-2"), active=installed(1))
    return replace(base, **changes)


def in_probation(**changes: object) -> SlotRecord:
    """Version 2 on probation, version 1 before it."""
    return slot(S.PROBATION, active=installed(2), previous=installed(1), **changes)


def states(course: Course) -> list[DeploymentState]:
    """Where a course leads, step by step."""
    return [step.record.state for step in course.steps]


def test_a_first_wish_is_accepted_and_downloads() -> None:
    """An empty slot accepts what is desired and begins to download at once."""
    course = want(SlotRecord(slot="main", since=NOON), ONE.desired(), NOON)
    assert states(course) == [S.ACCEPTED, S.DOWNLOADING]
    assert course.action is A.DOWNLOAD


@pytest.mark.parametrize("state", [S.DOWNLOADING, S.PROBATION, S.COMMITTED, S.ROLLED_BACK, S.FAILED])
def test_the_same_deployment_again_changes_nothing(state: DeploymentState) -> None:
    """Wanting a deployment by the same id changes nothing, under way or ended."""
    record = slot(state)
    assert want(record, TWO.desired("d-2"), NOON) == Course(record, (), A.NONE)


def test_a_release_below_the_floor_is_rejected() -> None:
    """A version below min_version ends as rejected, by policy."""
    course = want(slot(), ONE.desired("d-3", min_version=2), NOON)
    assert states(course) == [S.REJECTED]
    assert course.record.error is not None
    assert (course.record.error.kind, course.record.error.code) == (ErrorClass.POLICY, "below-floor")


def test_what_is_active_already_is_not_installed_again() -> None:
    """A new deployment of the active release ends at once."""
    assert states(want(slot(), ONE.desired("d-3"), NOON)) == [S.ALREADY_INSTALLED]


def test_a_newer_wish_supersedes_a_download_at_once() -> None:
    """Before anything changed, superseding ends the old deployment and begins the new one in one go."""
    course = want(slot(S.DOWNLOADING), make_release(3).desired("d-3"), NOON)
    assert states(course) == [S.SUPERSEDED, S.ACCEPTED, S.DOWNLOADING]
    assert [step.record.desired.deployment_id for step in course.steps if step.record.desired] == ["d-2", "d-3", "d-3"]


def test_a_newer_wish_in_probation_waits_for_the_rollback() -> None:
    """In probation the old deployment is rolled back first, then the new one begins."""
    course = want(in_probation(), make_release(3).desired("d-3"), NOON)
    assert states(course) == [S.ROLLING_BACK]
    assert course.action is A.ROLL_BACK
    done = happen(course.record, E.ROLLBACK_DONE, NOON)
    assert states(done) == [S.ROLLED_BACK, S.ACCEPTED, S.DOWNLOADING]
    assert done.record.active == installed(1)


def test_the_newest_of_two_queued_wishes_wins() -> None:
    """While rolling back, a still newer wish replaces the one that waits."""
    rolling = want(in_probation(), make_release(3).desired("d-3"), NOON).record
    course = want(rolling, make_release(4).desired("d-4"), NOON)
    assert course.record.queued is not None
    assert course.record.queued.deployment_id == "d-4"


def test_activation_moves_the_pointer_and_rollback_moves_it_back() -> None:
    """ACTIVATED makes the staged release active; ROLLBACK_DONE restores the one before."""
    proven = happen(slot(S.PREFLIGHT), E.PREFLIGHT_PASSED, NOON, staged=installed(2))
    assert (proven.record.staged, proven.record.active) == (installed(2), installed(1))
    active = happen(proven.record, E.ACTIVATED, NOON).record
    assert (active.active, active.previous, active.staged) == (installed(2), installed(1), None)
    failed = happen(active, E.PROBATION_FAILED, NOON, error=BROKEN).record
    back = happen(failed, E.ROLLBACK_DONE, NOON).record
    assert (back.active, back.previous) == (installed(1), None)
    assert back.error == BROKEN


def test_a_failed_activation_rolls_back_without_touching_the_pointer() -> None:
    """When the new host never came up, what ran before is still active after the rollback."""
    activating = slot(S.ACTIVATING, staged=installed(2), previous=None)
    back = happen(happen(activating, E.FAIL, NOON, error=BROKEN).record, E.ROLLBACK_DONE, NOON).record
    assert (back.state, back.active, back.staged) == (S.ROLLED_BACK, installed(1), None)


def test_downloads_are_tried_again_until_the_attempts_are_used_up() -> None:
    """Three attempts: two retries, then failed."""
    record = slot(S.DOWNLOADING, desired=TWO.desired("d-2", download=DownloadPolicy(max_attempts=3)))
    for _ in range(2):
        record = interrupted(record, BROKEN, NOON).record
        assert record.state is S.RETRY_WAIT
        record = happen(record, E.RETRY_DUE, NOON).record
    assert interrupted(record, BROKEN, NOON).record.state is S.FAILED


def test_an_error_that_is_not_retryable_fails_at_once() -> None:
    """404 does not become an endless loop."""
    final = DeploymentError(kind=ErrorClass.NETWORK, code="http-404", retryable=False)
    assert interrupted(slot(S.DOWNLOADING), final, NOON).record.state is S.FAILED


def test_the_third_crash_in_probation_rolls_back() -> None:
    """Two crashes are borne, the third is one too many."""
    record = in_probation()
    for _ in range(2):
        course = crashed(record, NOON)
        assert course.steps == ()
        record = course.record
    course = crashed(record, NOON)
    assert states(course) == [S.ROLLING_BACK]
    assert course.record.error is not None
    assert course.record.error.code == "crashes"


def test_a_crash_after_the_commit_changes_nothing() -> None:
    """A committed release that crashes is restarted by its host, not rolled back."""
    record = slot(S.COMMITTED)
    assert crashed(record, NOON) == Course(record, (), A.NONE)


def test_a_board_that_dies_in_preflight_again_and_again_gives_up() -> None:
    """Unclean starts in PREFLIGHT count too, so a model that takes the board down is not tried for ever."""
    record = slot(S.PREFLIGHT)
    for _ in range(2):
        course = resume(record, NOON, clean=False)
        assert course.action is A.PREFLIGHT
        record = course.record
    assert resume(record, NOON, clean=False).record.state is S.FAILED


def test_a_clean_restart_is_not_a_crash() -> None:
    """A planned restart in probation goes on observing and counts nothing."""
    course = resume(in_probation(), NOON, clean=True)
    assert (course.record.starts, course.action) == (0, A.OBSERVE)


def test_an_unclean_restart_in_probation_counts() -> None:
    """With one crash allowed, a restart that was not planned rolls back."""
    record = in_probation(desired=TWO.desired("d-2", probation=ProbationPolicy(max_crashes=1)))
    assert resume(record, NOON, clean=False).record.state is S.ROLLING_BACK


def test_a_restart_between_accept_and_download_downloads() -> None:
    """ACCEPTED waits for nothing but its own next step."""
    assert resume(slot(S.ACCEPTED), NOON, clean=False).action is A.DOWNLOAD


def test_every_state_that_waits_for_an_action_is_resumed() -> None:
    """Each state that can be left, and is no rest, has its action after a restart."""
    leavable = {state for state, _ in TABLE} - TERMINAL - {S.IDLE, S.ACCEPTED}
    assert leavable == set(RESUME)


def test_a_damaged_active_release_trades_places() -> None:
    """Falling back keeps both releases known and the reason on record."""
    record = slot(active=installed(2), previous=installed(1))
    course = fell_back(record, BROKEN, NOON + timedelta(hours=1))
    assert (course.record.active, course.record.previous, course.record.error) == (installed(1), installed(2), BROKEN)


def test_a_late_event_means_nothing() -> None:
    """A download that ends after a cancel changes nothing."""
    record = slot(S.CANCELED)
    assert happen(record, E.DOWNLOADED, NOON).steps == ()
