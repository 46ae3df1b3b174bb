"""What one slot serves: opens its model host when there is something to serve, and closes it when there is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from device_agent.host.counts import HostCounts
from fleet_contract.errors import ConflictError

if TYPE_CHECKING:
    from device_agent.ports import ModelHost, OnCrash, OnWindows
    from device_agent.surroundings import Surroundings
    from fleet_contract.api import SampleUpload
    from fleet_contract.desired import TelemetryPolicy
    from fleet_contract.messages import InstalledRelease


class SlotServing:
    """The model host of one slot."""

    def __init__(
        self,
        around: Surroundings,
        slot: str,
        telemetry: TelemetryPolicy,
        *,
        on_windows: OnWindows,
        on_crash: OnCrash,
    ) -> None:
        self._around = around
        self._slot = slot
        self._telemetry = telemetry
        self._on_windows = on_windows
        self._on_crash = on_crash
        self._host: ModelHost | None = None
        self._serving: InstalledRelease | None = None

    @property
    def port(self) -> int:
        """Loopback port of the host; 0 while nothing is served."""
        return self._host.port if self._host is not None and self._serving is not None else 0

    async def serve(self, installed: InstalledRelease, *, probation: bool) -> None:
        """Serves `installed`; returns at once when it already does.

        Raises:
            ModelError: it cannot; what was served before still is.
        """
        if installed == self._serving:
            return
        release = self._around.files.hosted(installed.release_sha256, installed.variant)
        if self._host is None:
            host = self._around.make_host(self._slot, self._telemetry, self._on_windows, self._on_crash)
            await host.open()
            self._host = host
        await self._host.activate(release, probation=probation)
        self._serving = installed

    async def stop(self) -> None:
        """Serves nothing."""
        host, self._host, self._serving = self._host, None, None
        if host is not None:
            await host.close()

    def counts(self) -> HostCounts:
        """Since the last activation; all zero while nothing is served."""
        return self._host.counts() if self._host is not None else HostCounts()

    def end_probation(self) -> None:
        """The release that is served is committed."""
        if self._host is not None:
            self._host.end_probation()

    def set_telemetry(self, policy: TelemetryPolicy) -> None:
        """Takes another policy, for the running host and later ones."""
        self._telemetry = policy
        if self._host is not None:
            self._host.set_telemetry(policy)

    async def collect(self, max_samples: int, max_bytes: int, duration_s: float) -> list[SampleUpload]:
        """Samples of what is served.

        Raises:
            ConflictError: nothing is.
        """
        if self._host is None or self._serving is None:
            raise ConflictError(f"slot {self._slot}: serves nothing, so there is nothing to collect")
        return await self._host.collect(max_samples, max_bytes, duration_s)

    def rss_mb(self) -> float:
        """Resident memory of the host process; 0 while nothing is served."""
        return self._host.rss_mb() if self._host is not None and self._serving is not None else 0.0
