"""What the control plane needs from outside, one Protocol per kind; fakes in tests implement the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.budget import ByteBudget
    from device_agent.host.counts import HostCounts
    from device_agent.host.hosted import HostedRelease
    from device_agent.preflight_result import PreflightResult
    from fleet_contract.api import SampleBatch, SampleUpload
    from fleet_contract.desired import PreflightPolicy, TelemetryPolicy
    from fleet_contract.release import BlobRef
    from fleet_contract.topics import DeviceTopic

    OnWindows = Callable[[NDArray[np.void]], None]
    OnCrash = Callable[[int], None]
    HostFactory = Callable[[str, TelemetryPolicy, OnWindows, OnCrash], "ModelHost"]
    """(slot, telemetry, on_windows, on_crash) -> a host that is not open yet."""
    OnMessage = Callable[[str, bytes], Awaitable[None]]
    """(topic, payload), called for one message after the other."""


class ModelHost(Protocol):
    """Serves one slot's active release and hands over to another without losing a request."""

    @property
    def port(self) -> int:
        """Where it listens, once open."""

    async def open(self) -> None:
        """Binds the listening socket."""

    async def activate(self, release: HostedRelease, *, probation: bool) -> None:
        """Serves `release`. Raises ModelError when that fails; what ran before then keeps serving."""

    def counts(self) -> HostCounts:
        """What happened since the last `activate`."""

    def end_probation(self) -> None:
        """The release is committed."""

    def set_telemetry(self, policy: TelemetryPolicy) -> None:
        """Takes another telemetry policy."""

    async def collect(self, max_samples: int, max_bytes: int, duration_s: float) -> list[SampleUpload]:
        """Inputs chosen over `duration_s`, together at most `max_bytes`."""

    def rss_mb(self) -> float:
        """Resident memory of the serving process."""

    async def close(self) -> None:
        """Stops serving and frees the port."""


class Preflight(Protocol):
    """Proves a release in a limited child process; never raises for a bad model."""

    async def __call__(
        self, release: HostedRelease, policy: PreflightPolicy, *, threads: int, memory_limit_mb: int
    ) -> PreflightResult:
        """How it did."""


class Trust(Protocol):
    """The signed repository of releases and of director keys."""

    @property
    def checked_at(self) -> datetime | None:
        """When the metadata were last found fresh."""

    async def refresh(self) -> None:
        """Fetches fresh metadata and director keys. Raises RefusedError or UnreachableError."""

    async def release(self, model: str, version: int) -> bytes:
        """A genuine manifest's bytes, from fresh metadata. Raises RefusedError or UnreachableError."""

    def knows(self, key_id: str) -> bool:
        """Whether a director key of that id is known by now."""

    def verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """Whether a director key that is known by now made the signature."""


class BlobSource(Protocol):
    """Brings blobs into the content-addressed folder."""

    async def fetch(self, blob: BlobRef, budget: ByteBudget) -> None:
        """Returns once the verified blob is on the disk. Raises FetchError, RefusedError or StorageError."""


class Link(Protocol):
    """The device's connection to the broker."""

    @property
    def connected(self) -> bool:
        """Whether messages flow now."""

    async def publish(self, topic: DeviceTopic, payload: bytes) -> None:
        """Returns once the broker has it. Raises UnreachableError."""

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_message: OnMessage) -> None:
        """Keeps connected until canceled, then says goodbye."""


class FleetServer(Protocol):
    """The few calls to the server that are neither trust nor blobs."""

    async def healthy(self) -> bool:
        """Whether it answers."""

    async def send_samples(self, batch: SampleBatch) -> None:
        """Hands in samples. Raises an EdgeferryError."""
