"""The gateway between a real broker and the services."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.api import CommandCreate
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import DeploymentState
from fleet_contract.desired import Desired, SlotDesired
from fleet_contract.messages import (
    Command,
    CommandName,
    CommandResult,
    DeviceStatus,
    Event,
    Reported,
    SecurityReport,
    ServerStatus,
)
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE, SignedDocument, open_envelope
from fleet_server.broker.choose import start_broker
from fleet_server.broker.mosquitto import find_mosquitto
from fleet_server.gateway.service import Gateway
from fleet_server.membership import Membership
from fleet_server.settings import IngestSettings
from tests.fakes.contract_documents import profile
from tests.fakes.server_ca import device_credentials, make_ca
from tests.fakes.server_core import StepClock, open_store
from tests.fakes.server_dynamics import Dynamics, telemetry
from tests.fakes.server_mqtt_client import TestClient, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fleet_server.broker.running import BrokerTls, RunningBroker

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DEVICE = "ef/1/main/d/pi-1"
SLOT = SlotDesired(slot="main", deployment_id="r-1-1", model="digits", version=1, release_sha256="a" * 64)


@dataclass
class World:
    """A broker, the services, the gateway between them, and devices."""

    broker: RunningBroker
    served: Dynamics
    gateway: Gateway
    tls: BrokerTls
    folder: Path
    clients: list[TestClient] = field(default_factory=list)

    def device(self, device_id: str = "pi-1") -> TestClient:
        """A device that is connected."""
        credentials = self.broker.credentials
        if self.broker.address.tls:
            credentials = device_credentials(self.tls, self.folder, device_id)
        client = TestClient(self.broker.address, credentials, device_id)
        self.clients.append(client)
        return client.wait_connected()

    def assign(self, slot: SlotDesired | None, device_id: str = "pi-1") -> None:
        """A new desired document."""
        with self.served.database.transaction() as connection:
            self.served.director.assign(device_id, slot, connection=connection)


@contextmanager
def world(kind: str, folder: Path) -> Iterator[World]:
    """Everything running over a broker of that kind, with one device enrolled."""
    tls = make_ca(folder / "ca")
    broker = start_broker(kind, state_dir=folder, tls=tls)
    with open_store(folder) as store:
        served = Dynamics(store, folder)
        served.enrol("pi-1")
        gateway = Gateway(
            broker,
            tenant="main",
            database=store.database,
            devices=served.devices,
            director=served.director,
            commands=served.commands,
            ingest=served.ingest,
            changes=store.changes,
            clock=StepClock(),
            settings=IngestSettings(),
        )
        gateway.start()
        made = World(broker, served, gateway, tls, folder)
        try:
            assert wait_until(lambda: gateway.connected)
            yield made
        finally:
            for client in made.clients:
                client.close()
            gateway.stop()
            broker.stop()


MOSQUITTO = pytest.param(
    "mosquitto",
    marks=[pytest.mark.mosquitto, pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed")],
)


@pytest.fixture(params=["embedded", MOSQUITTO])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """The world over each broker."""
    with world(request.param, tmp_path) as made:
        yield made


def payload_of(signed: bytes, kind: str) -> bytes:
    """What a signed document holds; its signature has its own tests."""
    return open_envelope(decode(signed, SignedDocument), kind, lambda *_: True)


def test_what_a_device_says_arrives(running: World) -> None:
    """Status, profile, report, event, security report and telemetry all reach the database."""
    sha256 = running.served.publish(1)
    device = running.device()
    error = SecurityReport(seq=7, at=NOW, refused="blob", code="blob-hash", detail="tampered")
    event = Event(
        seq=6,
        at=NOW,
        slot="main",
        deployment_id="r-1-1",
        event="accept",
        from_state=DeploymentState.IDLE,
        to_state=DeploymentState.ACCEPTED,
    )
    device.publish(f"{DEVICE}/status", encode(DeviceStatus(session_id="s", online=True)), retain=True)
    device.publish(f"{DEVICE}/profile", encode(profile(device_id="pi-1", hardware="jetson")), retain=True)
    device.publish(f"{DEVICE}/reported", encode(Reported(seq=5, at=NOW, desired_rev=3)), retain=True)
    device.publish(f"{DEVICE}/event", encode(event))
    device.publish(f"{DEVICE}/event", encode(error))
    device.publish(f"{DEVICE}/telemetry", telemetry(np.full((2, 10), 0.5), release_sha256=sha256, first_seq=1))
    device.publish(f"{DEVICE}/telemetry", telemetry(np.full((2, 10), 0.5), release_sha256=sha256, first_seq=2))
    assert wait_until(lambda: running.served.ingest.stored_windows == 3)
    view = running.served.devices.get("pi-1")
    assert (view.online, view.reported_rev) == (True, 3)
    assert view.profile is not None
    assert view.profile.hardware == "jetson"
    assert [each.seq for each in running.served.devices.events("pi-1")] == [6]
    assert "refuse-blob" in [entry.action for entry in running.served.store.audit.page(before_id=None, limit=10)]


def test_a_desired_document_reaches_its_device(running: World) -> None:
    """Whether the device subscribes before or after the decision, it gets the newest document."""
    running.assign(SLOT)
    device = running.device().subscribe(f"{DEVICE}/desired")
    running.assign(None)
    assert wait_until(lambda: len(device.payloads(f"{DEVICE}/desired")) >= 1)

    def newest() -> Desired:
        return decode(payload_of(device.payloads(f"{DEVICE}/desired")[-1], DESIRED_TYPE), Desired)

    assert wait_until(lambda: newest().rev == 2)
    assert newest().slots == ()


def test_a_broker_that_forgot_is_told_again(running: World) -> None:
    """After the broker was killed, every device's desired document is there again without any change."""
    running.assign(SLOT)
    os.kill(running.broker.pid, signal.SIGKILL)
    device = running.device().subscribe(f"{DEVICE}/desired")
    assert wait_until(lambda: len(device.payloads(f"{DEVICE}/desired")) >= 1, 20.0)
    desired = decode(payload_of(device.payloads(f"{DEVICE}/desired")[0], DESIRED_TYPE), Desired)
    assert desired.slots == (SLOT,)


def test_a_command_is_repeated_until_it_is_answered(running: World) -> None:
    """A device that comes online gets its open commands; once it has answered it gets them no more."""
    view = running.served.commands.create("pi-1", CommandCreate(name=CommandName.REFRESH), actor="ann")
    device = running.device().subscribe(f"{DEVICE}/cmd")
    device.publish(f"{DEVICE}/status", encode(DeviceStatus(session_id="s", online=True)))
    assert wait_until(lambda: len(device.payloads(f"{DEVICE}/cmd")) >= 1)
    command = decode(payload_of(device.payloads(f"{DEVICE}/cmd")[0], COMMAND_TYPE), Command)
    assert (command.id, command.device_id) == (view.id, "pi-1")
    device.publish(f"{DEVICE}/cmd/res", encode(CommandResult(id=view.id, accepted=True, at=NOW)))
    assert wait_until(lambda: running.served.commands.get("pi-1", view.id).accepted is True)
    assert running.served.commands.due() == []


@pytest.mark.parametrize("running", ["embedded"], indirect=True)
def test_what_is_malformed_is_counted_and_dropped(running: World) -> None:
    """Garbage on every topic stops nothing: the next good message is taken."""
    device = running.device()
    for topic in ("status", "profile", "reported", "event", "telemetry", "cmd/res", "nonsense"):
        device.publish(f"{DEVICE}/{topic}", b"\xff{not json")
    device.publish("ef/1/main/d/Not-A-Name/reported", b"{}")
    huge = encode(Reported(seq=2**80, at=NOW, desired_rev=0))
    device.publish(f"{DEVICE}/reported", huge)
    device.publish(f"{DEVICE}/reported", encode(Reported(seq=1, at=NOW, desired_rev=9)))
    assert wait_until(lambda: running.served.devices.get("pi-1").reported_rev == 9)
    assert running.gateway.counts()["malformed"] == 8
    assert running.gateway.counts()["failed"] == 0


@pytest.mark.parametrize("running", ["embedded"], indirect=True)
def test_a_device_cannot_speak_for_another_in_its_payload(running: World) -> None:
    """Who a message is from stands in the topic alone."""
    running.served.enrol("pi-2")
    device = running.device()
    device.publish(f"{DEVICE}/profile", encode(profile(device_id="pi-2", hardware="forged")))
    assert wait_until(lambda: running.gateway.counts()["taken"] >= 1)
    other = running.served.devices.get("pi-2").profile
    assert other is not None
    assert other.hardware == "pi5"


@pytest.mark.parametrize("running", ["embedded"], indirect=True)
def test_a_decommissioned_device_leaves_no_retained_topic(running: World) -> None:
    """Its desired document, report, status and profile are emptied at the broker."""
    running.assign(SLOT)
    device = running.device().subscribe(f"{DEVICE}/desired")
    device.publish(f"{DEVICE}/reported", encode(Reported(seq=1, at=NOW, desired_rev=1)), retain=True)
    assert wait_until(lambda: len(device.payloads(f"{DEVICE}/desired")) == 1)
    store = running.served.store
    membership = Membership(store.database, running.served.devices, running.served.director, store.audit, store.clock)
    membership.decommission("pi-1", actor="ann")
    assert wait_until(lambda: device.payloads(f"{DEVICE}/desired")[-1] == b"")
    late = running.device("pi-9").subscribe(f"{DEVICE}/reported").subscribe("ef/1/main/server/status")
    assert wait_until(lambda: late.payloads("ef/1/main/server/status") != [])
    assert late.payloads(f"{DEVICE}/reported") == []


@pytest.mark.parametrize("running", ["embedded"], indirect=True)
def test_the_server_says_whether_it_is_there(running: World) -> None:
    """Its birth is retained, and when it stops it says so."""
    device = running.device().subscribe("ef/1/main/server/status")
    assert wait_until(lambda: len(device.payloads("ef/1/main/server/status")) == 1)
    assert decode(device.payloads("ef/1/main/server/status")[0], ServerStatus).online
    running.gateway.stop()
    assert wait_until(lambda: len(device.payloads("ef/1/main/server/status")) == 2)
    assert not decode(device.payloads("ef/1/main/server/status")[1], ServerStatus).online
