"""The real program: it starts, says where it is, serves over either broker, and ends cleanly however it is told to."""

from __future__ import annotations

import base64
import json
import queue
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from paho.mqtt.enums import CallbackAPIVersion

from fleet_client import FleetClient
from fleet_contract.api import Role, RolloutCreate, UserCreate
from fleet_contract.codec import decode, encode
from fleet_contract.desired import Desired
from fleet_contract.errors import ConflictError, TrustError
from fleet_contract.messages import DeviceStatus
from fleet_contract.signing import SignedDocument
from fleet_contract.topics import DeviceTopic, device_topic
from fleet_server.broker.mosquitto import find_mosquitto
from fleet_server.keys import init_keys
from tests.fakes.server_core import MODEL, release, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fleet_contract.api import EnrolResponse

MOSQUITTO = pytest.param("mosquitto", marks=pytest.mark.mosquitto)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Fresh keys."""
    folder = tmp_path / "KEYS"
    init_keys(folder, [MODEL], now=datetime.now(UTC))
    return folder


@pytest.fixture
def started(tmp_path: Path, keys: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Processes of the server, ended after the test whatever happened."""
    del tmp_path, keys
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(folder: Path, broker: str, *, http_port: int = 0) -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """`edgeferry server` as a user starts it, with what it says of itself."""
    command = [sys.executable, "-m", "edgeferry", "server", "--state-dir", str(folder / "state"), "--json"]
    command += ["--keys", str(folder / "KEYS"), "--broker", broker, "--port", str(http_port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=folder)
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    return process, json.loads(line)


@pytest.mark.slow
@pytest.mark.parametrize("broker", ["embedded", MOSQUITTO])
def test_the_program_ends_cleanly_and_starts_again_where_it_was(
    tmp_path: Path, started: list[subprocess.Popen[str]], broker: str
) -> None:
    """Exit code 0 on SIGTERM and SIGINT; after a SIGKILL too, the same users, audit log and broker address."""
    needs(broker)
    addresses, tokens = set(), set()
    for entries, ending in enumerate((signal.SIGTERM, signal.SIGKILL, signal.SIGINT), start=1):
        process, facts = start(tmp_path, broker)
        started.append(process)
        addresses.add(facts["broker_url"])
        token = (tmp_path / "state" / "admin.token").read_text().strip()
        tokens.add(token)
        client = FleetClient(facts["http_url"], token)
        assert client.fleet_status().broker == broker
        client.add_user(UserCreate(name=f"user-{entries}", role=Role.VIEWER))
        assert client.verify_audit().entries == entries + 1
        process.send_signal(ending)
        process.communicate(timeout=30)
        assert process.returncode == (-signal.SIGKILL if ending == signal.SIGKILL else 0)
    assert len(addresses) == 1
    assert len(tokens) == 1


@pytest.mark.parametrize("broker", ["embedded", MOSQUITTO])
def test_a_device_is_told_what_to_run_over_the_broker(tmp_path: Path, broker: str) -> None:
    """Enrolled over HTTP, a device connects with its credentials, is seen online, and gets its signed document."""
    needs(broker)
    with serving(tmp_path, broker=broker) as server:
        key = ec.generate_private_key(ec.SECP256R1())
        member = server.enrol("pi-1", key=key)
        server.publish(release(1))
        received: queue.Queue[bytes] = queue.Queue()
        device = connect(member, key, tmp_path)
        device.on_message = lambda _client, _data, message: received.put(bytes(message.payload))
        device.loop_start()
        try:
            topic = device_topic(member.tenant, "pi-1", DeviceTopic.DESIRED)
            device.subscribe(topic, qos=1)
            first = desired_in(received.get(timeout=10))
            birth = DeviceStatus(session_id="s", online=True, at=datetime.now(UTC))
            device.publish(device_topic(member.tenant, "pi-1", DeviceTopic.STATUS), encode(birth), 1, retain=True)
            wait_for(lambda: server.client().device("pi-1").online)
            server.client().start_rollout(RolloutCreate(model=MODEL, version=1))
            second = desired_in(received.get(timeout=10))
        finally:
            device.disconnect()
            device.loop_stop()
        assert (first.rev, first.slots) == (1, ())
        assert second.rev == 2
        assert second.slots[0].release_sha256 == server.client().release(MODEL, 1).release_sha256


def test_one_state_folder_has_one_server(tmp_path: Path) -> None:
    """A second server on the same folder is refused, and the first goes on."""
    with serving(tmp_path) as first:
        with pytest.raises(ConflictError, match="another server"), serving(tmp_path):
            pass
        assert first.client().healthy()


def test_without_keys_nothing_starts(tmp_path: Path) -> None:
    """There is no default key to fall back to."""
    (tmp_path / "KEYS").mkdir()
    with pytest.raises(TrustError), serving(tmp_path):
        pass


def needs(broker: str) -> None:
    """Skips where the broker is not installed."""
    if broker == "mosquitto" and not find_mosquitto():
        pytest.skip("mosquitto is not installed")


def connect(member: EnrolResponse, key: ec.EllipticCurvePrivateKey, folder: Path) -> mqtt.Client:
    """A device's connection with what enrolment gave it."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=member.device_id, protocol=mqtt.MQTTv5)
    if member.broker.tls:
        files = {"ca.crt": member.ca_pem, "device.crt": member.certificate_pem, "device.pem": pem(key)}
        for name, text in files.items():
            (folder / name).write_text(text)
        client.tls_set(str(folder / "ca.crt"), str(folder / "device.crt"), str(folder / "device.pem"))
    client.connect(member.broker.host, member.broker.port)
    return client


def pem(key: ec.EllipticCurvePrivateKey) -> str:
    """The key as its file."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def desired_in(payload: bytes) -> Desired:
    """The desired document in an envelope; its signature is the director's test's."""
    return decode(base64.b64decode(decode(payload, SignedDocument).payload), Desired)


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Waits until `condition` holds."""
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "it never came true"
        time.sleep(0.05)
