"""A whole server and a device that only speaks MQTT and HTTP: rollout, telemetry, command, samples, retraining."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.api import (
    CommandCreate,
    LeaseRequest,
    RetrainCreate,
    RetrainResult,
    RetrainState,
    Role,
    RolloutCreate,
    SampleBatch,
    SampleUpload,
)
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import DeploymentState
from fleet_contract.desired import Desired
from fleet_contract.errors import AccessError, ConflictError
from fleet_contract.messages import (
    Command,
    CommandName,
    CommandResult,
    DeviceStatus,
    InstalledRelease,
    Reported,
    SlotReport,
)
from fleet_contract.rollout import RolloutState, StagePlan
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE, SignedDocument, open_envelope
from fleet_server.broker.mosquitto import find_mosquitto
from fleet_server.broker.running import BrokerTls, Credentials
from tests.fakes.server_ca import device_credentials
from tests.fakes.server_core import MODEL, TestServer, release, serving
from tests.fakes.server_dynamics import telemetry
from tests.fakes.server_mqtt_client import TestClient, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fleet_contract.api import EnrolResponse

TOPIC = "ef/1/main/d/pi-1"
STAGES = (StagePlan(name="all", fraction=1.0, soak_s=0.0),)


class Device:
    """A device that does at once what it is asked."""

    def __init__(self, server: TestServer, member: EnrolResponse) -> None:
        self.token = member.http_token
        self.seq = 0
        self.link = TestClient(member.broker, _credentials(server, secure=member.broker.tls), "pi-1").wait_connected()
        self.link.subscribe(f"{TOPIC}/desired").subscribe(f"{TOPIC}/cmd")
        self.link.publish(f"{TOPIC}/status", encode(DeviceStatus(session_id="s1", online=True)), retain=True)

    def desired(self) -> Desired:
        """The newest desired document."""
        return decode(_open(self.link.payloads(f"{TOPIC}/desired")[-1], DESIRED_TYPE), Desired)

    def obey(self) -> None:
        """Reports that it runs what it should."""
        assert wait_until(lambda: bool(self.link.payloads(f"{TOPIC}/desired") and self.desired().slots))
        (slot,) = self.desired().slots
        active = InstalledRelease(
            model=slot.model, version=slot.version, variant="tflite-f32", release_sha256=slot.release_sha256
        )
        report = SlotReport(
            slot="main",
            deployment_id=slot.deployment_id,
            state=DeploymentState.COMMITTED,
            since=datetime.now(UTC),
            active=active,
        )
        self.seq += 1
        reported = Reported(seq=self.seq, at=datetime.now(UTC), desired_rev=self.desired().rev, slots=(report,))
        self.link.publish(f"{TOPIC}/reported", encode(reported), retain=True)


def _credentials(server: TestServer, *, secure: bool) -> Credentials:
    online = server.keys / "online"
    tls = BrokerTls(ca_cert=online / "ca.crt", ca_key=online / "ca.pem")
    return device_credentials(tls, server.folder, "pi-1") if secure else Credentials()


def _open(signed: bytes, kind: str) -> bytes:
    return open_envelope(decode(signed, SignedDocument), kind, lambda *_: True)


MOSQUITTO = pytest.param(
    "mosquitto",
    marks=[pytest.mark.mosquitto, pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed")],
)


@pytest.fixture(params=["embedded", MOSQUITTO])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TestServer]:
    """A whole server over each broker."""
    with serving(tmp_path, broker=request.param) as made:
        yield made


def test_a_model_goes_out_and_what_it_sees_comes_home(server: TestServer) -> None:
    """One release out, windows in, samples collected, labelled, a retrain request leased and done."""
    client = server.client()
    published = server.publish(release(1))
    device = Device(server, server.enrol("pi-1", {"sampling": "allowed"}))
    try:
        rollout = client.start_rollout(RolloutCreate(model=MODEL, version=1, stages=STAGES))
        with pytest.raises(ConflictError, match=rollout.id):
            client.start_rollout(RolloutCreate(model=MODEL, version=1, stages=STAGES))
        device.obey()
        assert wait_until(lambda: client.rollout(rollout.id).state is RolloutState.COMPLETED)
        assert [each.variant for each in client.rollout_devices(rollout.id)] == ["tflite-f32"]
        assert client.release(MODEL, "champion").version == 1

        batch = telemetry(np.full((3, 9), 0.5), release_sha256=published.release_sha256, first_seq=1, class_count=2)
        device.link.publish(f"{TOPIC}/telemetry", batch)
        assert wait_until(lambda: len(list(client.windows(device="pi-1"))) == 3)
        assert {window.count for window in client.windows(model=MODEL)} == {60}

        request = client.ask_retrain(RetrainCreate(model=MODEL, reason="drift", device_ids=("pi-1",)))
        assert wait_until(lambda: bool(device.link.payloads(f"{TOPIC}/cmd")))
        command = decode(_open(device.link.payloads(f"{TOPIC}/cmd")[-1], COMMAND_TYPE), Command)
        assert (command.name, command.request_id) == (CommandName.COLLECT, request.id)
        answer = CommandResult(id=command.id, accepted=True, at=datetime.now(UTC))
        device.link.publish(f"{TOPIC}/cmd/res", encode(answer))
        assert wait_until(lambda: client.command_result("pi-1", command.id).accepted is True)

        server.client(device.token).send_samples(SampleBatch(request_id=request.id, samples=(_sample(),)))
        (sample,) = client.samples(request=request.id)
        assert client.sample_content(sample.id) == b"ab"
        assert client.label_sample(sample.id, "yes").label == "yes"
        client.open_retrain(request.id)
        worker = server.client(server.token(Role.PUBLISHER))
        leased = worker.lease_retrain(LeaseRequest(owner="w1"))
        assert leased is not None
        assert leased.labelled_count == 1
        assert worker.lease_retrain(LeaseRequest(owner="w2")) is None
        done = worker.finish_retrain(request.id, RetrainResult(owner="w1", version=2))
        assert done.state is RetrainState.DONE
        assert client.verify_audit().intact
    finally:
        device.link.close()


def test_people_and_devices_keep_to_their_roles(server: TestServer) -> None:
    """A viewer starts no rollout, a publisher sends no command, a person uploads no samples."""
    server.publish(release(1))
    server.enrol("pi-1")
    viewer, publisher = server.client(server.token(Role.VIEWER)), server.client(server.token(Role.PUBLISHER))
    with pytest.raises(AccessError):
        viewer.start_rollout(RolloutCreate(model=MODEL, version=1))
    with pytest.raises(AccessError):
        publisher.command("pi-1", CommandCreate(name=CommandName.REFRESH))
    with pytest.raises(AccessError):
        server.client().send_samples(SampleBatch(request_id="t-1", samples=(_sample(),)))


def _sample() -> SampleUpload:
    return SampleUpload(
        captured_at=datetime.now(UTC),
        model=MODEL,
        version=1,
        predicted="yes",
        confidence=0.6,
        chosen="random",
        dtype="uint8",
        shape=(2,),
        data=base64.b64encode(b"ab").decode(),
    )
