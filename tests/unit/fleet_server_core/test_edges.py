"""Small pure edges of the API and the dashboard: access, problems, cursors, words, secrets."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_contract import errors
from fleet_contract.api import Role
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import ContractError, EdgeferryError
from fleet_contract.rollout import RolloutState, StageState
from fleet_server.api.access import ANONYMOUS, Access, Principal
from fleet_server.api.paging import page_of, read_cursor, read_int_cursor, write_cursor
from fleet_server.api.problems import problem_of
from fleet_server.dashboard import words
from fleet_server.secret_tokens import USER_PREFIX, new_token
from tests.fakes.server_core import START

if TYPE_CHECKING:
    from fleet_contract.names import DeviceId


@pytest.mark.parametrize("needed", list(Role))
def test_a_role_may_do_what_the_ones_before_it_may(needed: Role) -> None:
    """Roles are ordered; devices and strangers stand outside."""
    allowed = [role for role in Role if Access(role=needed).allows(Principal(name="x", role=role))]
    assert allowed == list(Role)[list(Role).index(needed) :]
    device: DeviceId = "pi"  # type: ignore[assignment]  # a name like any
    assert not Access(role=needed).allows(Principal(device_id=device))
    assert Access(role=needed, device=True).allows(Principal(device_id=device))
    assert not Access(role=needed, device=True).allows(ANONYMOUS)
    assert Access(public=True).allows(ANONYMOUS)


def test_access_that_says_nothing_allows_nobody() -> None:
    """Silence is no permission."""
    assert not any(Access().allows(Principal(name="x", role=role)) for role in Role)


def test_every_family_of_errors_has_its_status() -> None:
    """A new family cannot be forgotten: it would be the caller's 500."""
    families = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, EdgeferryError)]
    for family in families:
        if family is not EdgeferryError:
            problem = problem_of(family("what, got, expected", hint="do this"))
            assert 400 <= problem.status < 600
            assert (problem.detail, problem.hint) == ("what, got, expected", "do this")
            assert problem.code


@given(st.text(max_size=50))
def test_a_cursor_comes_back_as_it_went(key: str) -> None:
    """Opaque, but faithful."""
    assert read_cursor(write_cursor(key)) == key


@given(st.text(max_size=50))
def test_any_cursor_is_read_or_refused(cursor: str) -> None:
    """Nothing from outside breaks the reader."""
    for read in (read_cursor, read_int_cursor):
        try:
            read(cursor)
        except ContractError:
            continue


def test_a_page_has_a_next_only_where_there_is_more() -> None:
    """One item more than the limit tells."""
    assert page_of([1, 2, 3], 2, str).items == [1, 2]
    assert read_cursor(page_of([1, 2, 3], 2, str).next) == "2"
    assert page_of([1, 2], 2, str).next == ""
    assert page_of([], 2, str).next == ""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "just now"), (5, "5 seconds ago"), (60, "1 minute ago"), (7200, "2 hours ago"), (200_000, "2 days ago")],
)
def test_times_read_in_their_largest_whole_unit(seconds: int, text: str) -> None:
    """People do not count seconds in days."""
    assert words.ago(START, START + timedelta(seconds=seconds)) == text
    assert words.ago(None, START) == "never"


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (2_345_678, "2.35 MB"), (10**13, "1e+04 GB")]
)
def test_sizes_read_with_three_digits(size_bytes: int, text: str) -> None:
    """From bytes to gigabytes."""
    assert words.size(size_bytes) == text


def test_every_state_has_a_tone_and_bars_fill_up_to_the_whole() -> None:
    """Each segment begins where the one before ended."""
    for state in (*DeploymentState, *RolloutState, *StageState):
        assert words.tone(state) in {"good", "bad", "warn", "busy", "still"}
    segments = words.bars({"committed": 3, "failed": 1, "queued": 4}, 8)
    assert segments == [("good", 0.0, 37.5, 3), ("bad", 37.5, 12.5, 1), ("still", 50.0, 50.0, 4)]
    assert words.bars({}, 0) == []


def test_a_sparkline_goes_from_edge_to_edge() -> None:
    """The newest value is at the right, the greatest at the top."""
    assert words.sparkline([1.0, 2.0, 0.0]) == "0.0,12.0 50.0,0.0 100.0,24.0"
    assert words.sparkline([]) == ""


def test_tokens_are_long_random_and_named() -> None:
    """256 bits, and a prefix for secret scanners."""
    tokens = {new_token(USER_PREFIX) for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith("efu1.") and len(token) >= 43 + 5 for token in tokens)
