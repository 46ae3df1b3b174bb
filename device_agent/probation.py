"""The verdict on a release in probation: pure, from counts since its activation.

Rules: what breaks a limit fails at once, but fractions and latency count only from `min_inferences` requests on.
Commit needs the time AND the healthy inferences in as many requests, so that the fractions were judged, AND the
server reachable; when `max_duration_s` passes without them, the release has not proven itself and fails. A limit
that cannot be judged (NaN) does not pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.deployment import DeploymentError, DeploymentEvent, ErrorClass

if TYPE_CHECKING:
    from device_agent.host.counts import HostCounts
    from fleet_contract.desired import ProbationPolicy


def verdict(
    counts: HostCounts, policy: ProbationPolicy, *, elapsed_s: float, server_reachable: bool
) -> tuple[DeploymentEvent, DeploymentError | None] | None:
    """PROBATION_PASSED, PROBATION_FAILED with its reason, or None while it is too early to say."""
    broken = broken_limit(counts, policy)
    if broken is not None:
        return DeploymentEvent.PROBATION_FAILED, broken
    missing = unproven(counts, policy, elapsed_s=elapsed_s, server_reachable=server_reachable)
    if not missing:
        return DeploymentEvent.PROBATION_PASSED, None
    if elapsed_s >= policy.max_duration_s:
        detail = f"not proven within {policy.max_duration_s:g} s: {missing}"
        return DeploymentEvent.PROBATION_FAILED, _health("not-proven", detail)
    return None


def broken_limit(counts: HostCounts, policy: ProbationPolicy) -> DeploymentError | None:
    """The first limit of `policy` that `counts` break."""
    if counts.crashes >= policy.max_crashes:
        return _health("crashes", f"host crashed {counts.crashes} times, limit {policy.max_crashes}")
    if counts.requests < max(policy.min_inferences, 1):
        return None
    errors, invalid = counts.errors / counts.requests, counts.invalid / counts.requests
    if errors > policy.max_error_fraction:
        return _health("errors", f"{errors:.3f} of requests failed, limit {policy.max_error_fraction:g}")
    if invalid > policy.max_invalid_fraction:
        return _health("invalid", f"{invalid:.3f} of results not finite, limit {policy.max_invalid_fraction:g}")
    limit_ms = policy.max_latency_p95_ms
    if limit_ms and not counts.latency_p95_ms <= limit_ms:
        return _health("latency", f"p95 latency {counts.latency_p95_ms:.1f} ms, limit {limit_ms:g} ms")
    return None


def unproven(counts: HostCounts, policy: ProbationPolicy, *, elapsed_s: float, server_reachable: bool) -> str:
    """What a commit still lacks, in words; empty when nothing."""
    lacks = []
    if elapsed_s < policy.min_duration_s:
        lacks.append(f"{elapsed_s:.0f} of {policy.min_duration_s:g} s")
    judged = min(counts.healthy, counts.requests)  # a large batch is many inferences but one request to judge
    if judged < policy.min_inferences:
        lacks.append(f"{judged} of {policy.min_inferences} healthy inferences")
    if not server_reachable:
        lacks.append("the server is not reachable")
    return ", ".join(lacks)


def _health(code: str, detail: str) -> DeploymentError:
    return DeploymentError(kind=ErrorClass.HEALTH, code=code, detail=detail)
