"""Model hosts and preflight without any process, for the agent's control plane."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from device_agent.host.counts import HostCounts
from device_agent.preflight_result import PreflightCode, PreflightResult
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from device_agent.host.hosted import HostedRelease
    from device_agent.ports import OnCrash, OnWindows
    from fleet_contract.api import SampleUpload
    from fleet_contract.desired import PreflightPolicy, TelemetryPolicy

HEALTHY = HostCounts(requests=1000, healthy=1000, latency_p95_ms=1.0)


@dataclass
class FakeHost:
    """Serves in name only; `counts_by_version` says how each version does, the rest is healthy."""

    slot: str
    telemetry: TelemetryPolicy
    on_windows: OnWindows
    on_crash: OnCrash
    counts_by_version: dict[int, HostCounts]
    broken_versions: set[int]
    served: list[int]
    samples: list[SampleUpload] = field(default_factory=list)
    port: int = 0
    version: int = 0
    probation: bool = False
    is_open: bool = False

    async def open(self) -> None:
        """Takes a made-up port."""
        self.is_open, self.port = True, 4242

    async def activate(self, release: HostedRelease, *, probation: bool) -> None:
        """Serves, unless the version is broken or a file of it is damaged."""
        assert self.is_open, "activate before open"
        if release.manifest.version in self.broken_versions:
            raise ModelError(f"{release.title}: broken on purpose")
        release.blob_path(release.variant.blob)
        self.version, self.probation = release.manifest.version, probation
        self.served.append(self.version)

    def counts(self) -> HostCounts:
        """As the test says."""
        return replace(self.counts_by_version.get(self.version, HEALTHY))

    def end_probation(self) -> None:
        """Remembers it."""
        self.probation = False

    def set_telemetry(self, policy: TelemetryPolicy) -> None:
        """Remembers it."""
        self.telemetry = policy

    async def collect(self, max_samples: int, max_bytes: int, duration_s: float) -> list[SampleUpload]:
        """What the test put there, whatever the budget."""
        assert max_bytes > 0
        assert duration_s >= 0
        return self.samples[:max_samples]

    def rss_mb(self) -> float:
        """Some."""
        return 10.0

    async def close(self) -> None:
        """Serves nothing any more."""
        self.is_open, self.version = False, 0


@dataclass
class FakePreflight:
    """Passes all variants but `failing`; latencies by variant id."""

    failing: dict[str, PreflightCode] = field(default_factory=dict)
    latency_ms: dict[str, float] = field(default_factory=dict)
    tried: list[tuple[int, str]] = field(default_factory=list)

    async def __call__(
        self, release: HostedRelease, policy: PreflightPolicy, *, threads: int, memory_limit_mb: int
    ) -> PreflightResult:
        """The verdict that the test wrote."""
        assert threads >= 1
        assert memory_limit_mb >= 0
        assert policy.time_limit_s > 0
        self.tried.append((release.manifest.version, release.variant_id))
        code = self.failing.get(release.variant_id)
        if code is not None:
            return PreflightResult(passed=False, code=code, detail="on purpose")
        latency_ms = self.latency_ms.get(release.variant_id, math.nan)
        return PreflightResult(passed=True, code=PreflightCode.PASSED, detail="", latency_p95_ms=latency_ms)
