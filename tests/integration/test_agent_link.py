"""The link against a real Mosquitto: birth, will, goodbye, and a broker that dies and forgets."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from device_agent import link as link_module
from device_agent.identity import Identity, Membership
from device_agent.link import MqttLink
from fleet_contract.api import BrokerAddress
from fleet_contract.codec import decode
from fleet_contract.errors import UnreachableError
from fleet_contract.messages import DeviceStatus
from fleet_contract.topics import DeviceTopic
from tests.fakes.agent_broker import MOSQUITTO, Mosquitto, Observer
from tests.fakes.agent_world import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="Mosquitto is not installed"),
]

STATUS = "ef/1/main/d/pi/status"
DESIRED = "ef/1/main/d/pi/desired"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running broker."""
    with Mosquitto(tmp_path) as running:
        yield running


class Bench:
    """A link and what it heard."""

    def __init__(self, broker: Mosquitto) -> None:
        address = BrokerAddress(host="127.0.0.1", port=broker.port, tls=False)
        membership = Membership(device_id="pi", tenant="main", server_url="", http_token="", broker=address)
        ids = count(1)
        self.link = MqttLink(
            Identity(membership, Path("/nowhere")),
            agent_version="1",
            new_session_id=lambda: f"session-{next(ids)}",
            now=lambda: datetime.now(UTC),
            monotonic=time.monotonic,
            rng=random.Random(1),
        )
        self.greetings = 0
        self.heard: list[tuple[str, bytes]] = []

    async def greet(self) -> None:
        """Counts connections."""
        self.greetings += 1

    async def hear(self, topic: str, payload: bytes) -> None:
        """Keeps messages."""
        self.heard.append((topic, payload))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connected inside the block; ended after it."""
        work = asyncio.create_task(self.link.run(self.greet, self.hear))
        try:
            await until(lambda: self.link.connected and self.greetings > 0)
            yield
        finally:
            work.cancel()
            with suppress(asyncio.CancelledError):
                await work


def statuses(observer: Observer) -> list[tuple[str, bool]]:
    """Session and presence of each status message."""
    heard = [decode(data, DeviceStatus) for data in observer.on(STATUS)]
    return [(status.session_id, status.online) for status in heard]


def test_birth_and_goodbye_are_on_one_topic(broker: Mosquitto) -> None:
    """A graceful end says so, under the same session."""

    async def story() -> None:
        observer = Observer(broker.port)
        try:
            async with Bench(broker).running():
                await until(lambda: statuses(observer) == [("session-1", True)])
            await until(lambda: statuses(observer) == [("session-1", True), ("session-1", False)])
        finally:
            observer.close()

    asyncio.run(story())


def test_a_device_that_vanishes_is_told_by_its_will(broker: Mosquitto) -> None:
    """The connection breaks without a goodbye: the broker says offline for it, and the next birth is a new session."""

    async def story() -> None:
        observer = Observer(broker.port)
        bench = Bench(broker)
        try:
            async with bench.running():
                client = bench.link._client
                assert client is not None
                client._client.socket().shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]  # the cable is pulled
                await until(lambda: ("session-1", False) in statuses(observer))
                await until(lambda: ("session-2", True) in statuses(observer), 10.0)
        finally:
            observer.close()

    asyncio.run(story())


def test_a_broker_that_forgot_everything_loses_nothing(broker: Mosquitto, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed and started anew, without sessions: the link connects, subscribes and hears again."""
    monkeypatch.setattr(link_module, "FIRST_PAUSE_S", 0.05)

    async def story() -> None:
        bench = Bench(broker)
        async with bench.running():
            broker.kill()
            await until(lambda: not bench.link.connected)
            with pytest.raises(UnreachableError):
                await bench.link.publish(DeviceTopic.EVENT, b"{}")
            await asyncio.to_thread(broker.start)
            await until(lambda: bench.greetings == 2, 10.0)
            observer = Observer(broker.port)
            try:
                await asyncio.to_thread(observer.publish, DESIRED, b"document", retain=True)
                await until(lambda: (DESIRED, b"document") in bench.heard)
                await bench.link.publish(DeviceTopic.EVENT, b"event")
                await until(lambda: b"event" in observer.on("ef/1/main/d/pi/event"))
            finally:
                observer.close()

    asyncio.run(story())


def test_an_event_that_nobody_takes_is_not_delivered(broker: Mosquitto) -> None:
    """A broker that has lost the server's session says that nobody is subscribed: the event must wait for it."""

    async def story() -> None:
        bench = Bench(broker)
        async with bench.running():
            with pytest.raises(UnreachableError, match="nobody listens to event"):
                await bench.link.publish(DeviceTopic.EVENT, b"event")
            await bench.link.publish(DeviceTopic.REPORTED, b"state")  # retained: it waits on the broker
            observer = Observer(broker.port)
            try:
                await bench.link.publish(DeviceTopic.EVENT, b"event")
                await until(lambda: b"event" in observer.on("ef/1/main/d/pi/event"))
            finally:
                observer.close()

    asyncio.run(story())


def test_a_retained_document_comes_with_the_connection(broker: Mosquitto) -> None:
    """What was desired while the device was off is the first thing that it hears."""

    async def story() -> None:
        observer = Observer(broker.port)
        try:
            await asyncio.to_thread(observer.publish, DESIRED, b"document", retain=True)
            bench = Bench(broker)
            async with bench.running():
                await until(lambda: (DESIRED, b"document") in bench.heard)
        finally:
            observer.close()

    asyncio.run(story())
