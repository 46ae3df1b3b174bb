"""Variants compete on this very board: the fastest that passes preflight wins, the smaller one on a tie."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from device_agent.host.hosted import HostedRelease
    from device_agent.ports import Preflight
    from device_agent.preflight_result import PreflightResult
    from fleet_contract.desired import PreflightPolicy


async def best_variant(
    releases: Sequence[HostedRelease],
    policy: PreflightPolicy,
    preflight: Preflight,
    *,
    threads: int,
    memory_limit_mb: int,
    monotonic: Callable[[], float],
) -> tuple[HostedRelease | None, dict[str, PreflightResult]]:
    """The winner among `releases` (the smallest first) and what failed, by variant.

    Once a variant has passed, no further one is begun after `policy.time_limit_s`.
    """
    started_s = monotonic()
    passed: list[tuple[float, int, HostedRelease]] = []
    failures: dict[str, PreflightResult] = {}
    for release in releases:
        if passed and monotonic() - started_s >= policy.time_limit_s:
            break
        result = await preflight(release, policy, threads=threads, memory_limit_mb=memory_limit_mb)
        if result.passed:
            latency_ms = result.latency_p95_ms if math.isfinite(result.latency_p95_ms) else math.inf
            passed.append((latency_ms, release.variant.blob.size_bytes, release))
        else:
            failures[release.variant_id] = result
    if not passed:
        return None, failures
    return min(passed, key=lambda entry: entry[:2])[2], failures
