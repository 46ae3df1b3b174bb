"""A world for an agent without network, processes or waiting: trust, blobs, broker and server in memory.

world = World(tmp_path)
world.publish(make_release(1))
async with world.running() as agent: ...
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from device_agent.agent import Agent
from device_agent.clock import TrustedClock
from device_agent.config import AgentConfig
from device_agent.faults import FetchError, RefusedError
from device_agent.security import SecurityLedger
from device_agent.slots import SlotFiles
from device_agent.store import DATABASE_FILE, Store
from device_agent.surroundings import Surroundings
from fleet_contract.codec import decode, encode
from fleet_contract.desired import Desired, ProbationPolicy, SlotDesired, TelemetryPolicy
from fleet_contract.errors import UnreachableError
from fleet_contract.messages import CommandResult, Event, Reported, SecurityReport, ServerStatus
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE, envelope, pre_authentication_encoding
from fleet_contract.topics import DeviceTopic, device_topic, server_status_topic
from tests.fakes.agent_host import FakeHost, FakePreflight
from tests.fakes.contract_documents import profile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path

    from device_agent.budget import ByteBudget
    from device_agent.host.counts import HostCounts
    from device_agent.ports import OnCrash, OnMessage, OnWindows
    from fleet_contract.api import SampleBatch, SampleUpload
    from fleet_contract.deployment import DeploymentState
    from fleet_contract.messages import Command
    from fleet_contract.release import BlobRef
    from tests.fakes.agent_releases import FakeRelease

QUICK = ProbationPolicy(min_duration_s=0.0, min_inferences=10, max_duration_s=5.0)
TELEMETRY = TelemetryPolicy(window_s=1.0, publish_every_s=0.05, min_frames=1)
DIRECTOR = "director-1"


def sign(key_id: str, message: bytes) -> bytes:
    """A signature that only this world believes in."""
    return hashlib.sha256(key_id.encode() + message).digest()


@dataclass
class FakeTrust:
    """Releases that the test published, and directors that it trusts."""

    releases: dict[tuple[str, int], bytes] = field(default_factory=dict)
    directors: set[str] = field(default_factory=lambda: {DIRECTOR})
    known: set[str] = field(default_factory=set)
    failure: Exception | None = None
    checked_at: datetime | None = None
    refreshes: int = 0

    async def refresh(self) -> None:
        """Learns the directors of the moment."""
        self.refreshes += 1
        if self.failure is not None:
            raise self.failure
        self.known = set(self.directors)
        self.checked_at = datetime.now(UTC)

    async def release(self, model: str, version: int) -> bytes:
        """The manifest, if it was published."""
        await self.refresh()
        try:
            return self.releases[model, version]
        except KeyError:
            raise RefusedError("not signed", refused="release", code="not-signed") from None

    def knows(self, key_id: str) -> bool:
        """Since the last refresh."""
        return key_id in self.known

    def verify(self, key_id: str, message: bytes, signature: bytes) -> bool:
        """By the fake signature."""
        return key_id in self.known and signature == sign(key_id, message)


@dataclass
class FakeBlobs:
    """A blob store in memory that writes into the agent's folder; `failures` come first, one a fetch."""

    folder: Path
    content: dict[str, bytes] = field(default_factory=dict)
    failures: list[Exception] = field(default_factory=list)
    fetched: list[str] = field(default_factory=list)
    hold: asyncio.Event | None = None

    async def fetch(self, blob: BlobRef, budget: ByteBudget) -> None:
        """Writes the blob, or fails as the test wants."""
        if self.hold is not None:
            await self.hold.wait()
        if self.failures:
            raise self.failures.pop(0)
        target = self.folder / blob.sha256
        if target.exists() and hashlib.sha256(target.read_bytes()).hexdigest() == blob.sha256:
            return
        budget.spend(blob.size_bytes)
        self.fetched.append(blob.name)
        try:
            target.write_bytes(self.content[blob.sha256])
        except KeyError:
            raise FetchError("gone", code="http-404", retryable=False) from None


class FakeLink:
    """A broker with one device: keeps what is published, delivers what the test sends."""

    def __init__(self) -> None:
        self.connected = False
        self.online = asyncio.Event()
        self.online.set()
        self.published: list[tuple[DeviceTopic, bytes]] = []
        self.retained: dict[str, bytes] = {}
        self._incoming: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def publish(self, topic: DeviceTopic, payload: bytes) -> None:
        """Takes a message, while connected."""
        if not self.connected:
            raise UnreachableError("broker: not connected")
        self.published.append((topic, payload))

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_message: OnMessage) -> None:
        """Connects whenever `online` is set and delivers retained messages first."""
        try:
            while True:
                await self.online.wait()
                self.connected = True
                await on_connect()
                for topic, payload in list(self.retained.items()):
                    await on_message(topic, payload)
                while self.online.is_set():
                    try:
                        async with asyncio.timeout(0.02):
                            message = await self._incoming.get()
                    except TimeoutError:
                        continue
                    await on_message(*message)
                self.connected = False
        finally:
            self.connected = False

    def deliver(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Sends a message to the device."""
        if retain:
            self.retained[topic] = payload
        if self.online.is_set():
            self._incoming.put_nowait((topic, payload))


@dataclass
class FakeServer:
    """The server's REST API, as far as the agent calls it."""

    up: bool = True
    batches: list[SampleBatch] = field(default_factory=list)

    async def healthy(self) -> bool:
        """As the test says."""
        return self.up

    async def send_samples(self, batch: SampleBatch) -> None:
        """Keeps it."""
        if not self.up:
            raise UnreachableError("server is down")
        self.batches.append(batch)


class World:
    """Everything around one agent; it outlives the agent, so that a test can start it again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = SlotFiles(folder)
        self.trust = FakeTrust()
        self.blobs = FakeBlobs(self.files.blobs)
        self.preflight = FakePreflight()
        self.server = FakeServer()
        self.link = FakeLink()
        self.counts: dict[int, HostCounts] = {}
        self.broken: set[int] = set()
        self.served: list[int] = []
        self.samples: list[SampleUpload] = []
        self.hosts: list[FakeHost] = []
        self.system_now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self.rev = 0
        self.config = AgentConfig(state_dir=str(folder), retry_base_s=0.001, max_store_mb=1)
        self.link.deliver(server_status_topic("main"), encode(ServerStatus(session_id="s", online=True)), retain=True)

    def surroundings(self) -> Surroundings:
        """Fresh ports over the same world, as after a restart."""
        store = Store.open(self.folder / DATABASE_FILE, max_bytes=self.config.max_store_mb * 2**20)
        clock = TrustedClock(self.system_now)
        return Surroundings(
            config=self.config,
            tenant="main",
            profile=profile(),
            store=store,
            files=self.files,
            ledger=SecurityLedger(store, clock.now, time.monotonic),
            clock=clock,
            rng=random.Random(7),
            monotonic=time.monotonic,
            trust=self.trust,
            blobs=self.blobs,
            preflight=self.preflight,
            make_host=self.make_host,
            link=self.link,
            server=self.server,
            probation_poll_s=0.002,
        )

    def reconnect(self) -> None:
        """The same broker for another event loop: retained messages and what was published stay."""
        old, self.link = self.link, FakeLink()
        self.link.retained, self.link.published = old.retained, old.published

    def make_host(self, slot: str, telemetry: TelemetryPolicy, on_windows: OnWindows, on_crash: OnCrash) -> FakeHost:
        """A fake host that tells the world what it serves."""
        host = FakeHost(
            slot, telemetry, on_windows, on_crash, self.counts, self.broken, self.served, samples=self.samples
        )
        self.hosts.append(host)
        return host

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Agent]:
        """An agent that runs inside the block and ends gracefully after it."""
        around = self.surroundings()
        agent, stop = Agent(around), asyncio.Event()
        work = asyncio.create_task(agent.run(stop))
        try:
            yield agent
        finally:
            stop.set()
            try:
                await work
            finally:
                around.store.close()

    def publish(self, release: FakeRelease) -> FakeRelease:
        """Makes a release genuine and its blobs available."""
        self.trust.releases[release.manifest.model, release.manifest.version] = release.data
        self.blobs.content.update(release.blobs)
        return release

    def desire(self, *slots: SlotDesired, **changes: object) -> bytes:
        """Signs and delivers the next desired document; returns the envelope."""
        self.rev += 1
        now = self.system_now()
        fields: dict[str, object] = {
            "device_id": "pi",
            "rev": self.rev,
            "issued_at": now,
            "expires_at": now + timedelta(hours=1),
            "slots": slots,
            "telemetry": TELEMETRY,
        }
        desired = Desired(**{**fields, **changes})  # type: ignore[arg-type]  # a factory for tests
        data = signed(DESIRED_TYPE, encode(desired))
        self.link.deliver(device_topic("main", "pi", DeviceTopic.DESIRED), data, retain=True)
        return data

    def send(self, command: Command) -> bytes:
        """Signs and delivers a command; returns the envelope."""
        data = signed(COMMAND_TYPE, encode(command))
        self.link.deliver(device_topic("main", "pi", DeviceTopic.COMMAND), data)
        return data

    def events(self) -> list[Event]:
        """Transitions that reached the broker."""
        return [decode(data, Event) for data in self._sent(DeviceTopic.EVENT) if b'"refused"' not in data]

    def security_reports(self) -> list[SecurityReport]:
        """Refusals that reached the broker."""
        return [decode(data, SecurityReport) for data in self._sent(DeviceTopic.EVENT) if b'"refused"' in data]

    def results(self) -> list[CommandResult]:
        """Answers that reached the broker."""
        return [decode(data, CommandResult) for data in self._sent(DeviceTopic.COMMAND_RESULT)]

    def reported(self) -> Reported:
        """The last full state."""
        return decode(self._sent(DeviceTopic.REPORTED)[-1], Reported)

    def states(self, deployment_id: str) -> list[DeploymentState]:
        """The states that a deployment went through."""
        return [event.to_state for event in self.events() if event.deployment_id == deployment_id]

    def _sent(self, topic: DeviceTopic) -> list[bytes]:
        return [data for sent, data in self.link.published if sent is topic]


def signed(payload_type: str, payload: bytes, key_id: str = DIRECTOR) -> bytes:
    """An envelope by a director."""
    return encode(
        envelope(payload_type, payload, key_id, sign(key_id, pre_authentication_encoding(payload_type, payload)))
    )


def tampered(data: bytes, old: bytes, new: bytes) -> bytes:
    """The envelope with its payload changed after it was signed."""
    from fleet_contract.signing import SignedDocument

    document = decode(data, SignedDocument)
    payload = base64.b64decode(document.payload).replace(old, new)
    return data.replace(document.payload.encode(), base64.b64encode(payload))


async def until(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Waits for a condition that must come true soon."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "the condition did not come true"
        await asyncio.sleep(0.005)
