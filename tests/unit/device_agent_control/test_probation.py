"""The verdict on a release in probation."""

from __future__ import annotations

import math

import pytest

from device_agent.host.counts import HostCounts
from device_agent.probation import verdict
from fleet_contract.deployment import DeploymentEvent
from fleet_contract.desired import ProbationPolicy

POLICY = ProbationPolicy(min_duration_s=60.0, max_duration_s=600.0, min_inferences=50, max_latency_p95_ms=20.0)
GOOD = HostCounts(requests=100, healthy=100, latency_p95_ms=10.0)


def judge(counts: HostCounts, *, elapsed_s: float = 61.0, server_reachable: bool = True) -> tuple[str, str] | None:
    """Event and code of the verdict."""
    reached = verdict(counts, POLICY, elapsed_s=elapsed_s, server_reachable=server_reachable)
    return None if reached is None else (reached[0].value, reached[1].code if reached[1] else "")


def test_commit_needs_time_inferences_and_the_server() -> None:
    """All three together pass."""
    assert judge(GOOD) == (DeploymentEvent.PROBATION_PASSED, "")


@pytest.mark.parametrize(
    ("counts", "elapsed_s", "server_reachable"),
    [
        pytest.param(GOOD, 59.0, True, id="too early"),
        pytest.param(HostCounts(requests=49, healthy=49, latency_p95_ms=1.0), 61.0, True, id="too few inferences"),
        pytest.param(HostCounts(requests=49, healthy=490, latency_p95_ms=1.0), 61.0, True, id="too few requests"),
        pytest.param(GOOD, 61.0, False, id="server away"),
    ],
)
def test_while_one_is_missing_it_waits(counts: HostCounts, elapsed_s: float, *, server_reachable: bool) -> None:
    """Without any one of the three there is no verdict yet."""
    assert judge(counts, elapsed_s=elapsed_s, server_reachable=server_reachable) is None


@pytest.mark.parametrize(
    ("counts", "code"),
    [
        pytest.param(HostCounts(requests=100, errors=3, healthy=97, latency_p95_ms=1.0), "errors", id="errors"),
        pytest.param(HostCounts(requests=100, invalid=1, healthy=99, latency_p95_ms=1.0), "invalid", id="NaN"),
        pytest.param(HostCounts(requests=100, healthy=100, latency_p95_ms=21.0), "latency", id="slow"),
        pytest.param(HostCounts(requests=100, healthy=100, latency_p95_ms=math.nan), "latency", id="latency unknown"),
        pytest.param(HostCounts(requests=0, crashes=3), "crashes", id="crashes"),
    ],
)
def test_a_broken_limit_fails_at_once(counts: HostCounts, code: str) -> None:
    """A limit that is broken does not wait for the end of the time."""
    assert judge(counts, elapsed_s=1.0) == (DeploymentEvent.PROBATION_FAILED, code)


def test_one_large_batch_is_no_proof() -> None:
    """A thousand inferences in one request leave the fractions unjudged, so there is no commit yet."""
    assert judge(HostCounts(requests=1, healthy=1000, latency_p95_ms=1.0)) is None


def test_a_few_early_errors_are_no_verdict() -> None:
    """Fractions count only from min_inferences requests on."""
    assert judge(HostCounts(requests=10, errors=5, healthy=5, latency_p95_ms=1.0)) is None


def test_what_is_not_proven_in_time_fails_and_says_what_was_missing() -> None:
    """At max_duration_s the reason names the server that never came back."""
    reached = verdict(GOOD, POLICY, elapsed_s=600.0, server_reachable=False)
    assert reached is not None
    assert reached[1] is not None
    assert reached[1].code == "not-proven"
    assert "server" in reached[1].detail
