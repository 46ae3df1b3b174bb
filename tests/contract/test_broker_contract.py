"""One suite over every broker that the server can start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConfigError, UnreachableError
from fleet_server.broker.choose import start_broker
from fleet_server.broker.mosquitto import find_mosquitto
from fleet_server.broker.running import BrokerTls, Credentials, RunningBroker
from tests.fakes.server_ca import device_credentials, make_ca
from tests.fakes.server_mqtt_client import TestClient, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

needs_mosquitto = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed"),
]


@dataclass
class Place:
    """A running broker and how devices get to it."""

    broker: RunningBroker
    tls: BrokerTls
    folder: Path
    clients: list[TestClient] = field(default_factory=list)

    def gateway(self) -> TestClient:
        """A client with the gateway's identity."""
        return self._add(TestClient(self.broker.address, self.broker.credentials, "edgeferry-server"))

    def device(self, device_id: str, *, client_id: str = "", will: tuple[str, bytes] | None = None) -> TestClient:
        """A client with a device's identity."""
        secure = self.broker.address.tls
        credentials = device_credentials(self.tls, self.folder, device_id) if secure else Credentials()
        return self._add(TestClient(self.broker.address, credentials, client_id or device_id, will=will))

    def _add(self, client: TestClient) -> TestClient:
        self.clients.append(client)
        return client.wait_connected()


@contextmanager
def place(kind: str, folder: Path) -> Iterator[Place]:
    """A broker of that kind."""
    tls = make_ca(folder / "ca")
    broker = start_broker(kind, state_dir=folder / "state", tls=tls)
    made = Place(broker, tls, folder)
    try:
        yield made
    finally:
        for client in made.clients:
            client.close()
        broker.stop()


@pytest.fixture(params=["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def any_place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each broker in turn."""
    with place(request.param, tmp_path) as made:
        yield made


@pytest.fixture
def secure_place(tmp_path: Path) -> Iterator[Place]:
    """Mosquitto with its access list."""
    with place("mosquitto", tmp_path) as made:
        yield made


def test_a_message_arrives(any_place: Place) -> None:
    """A device's QoS 1 message reaches the gateway's subscription."""
    gateway = any_place.gateway().subscribe("ef/1/main/d/+/event")
    any_place.device("pi-1").publish("ef/1/main/d/pi-1/event", b"hello")
    assert wait_until(lambda: gateway.payloads("ef/1/main/d/pi-1/event") == [b"hello"])


def test_a_late_device_gets_its_retained_desired(any_place: Place) -> None:
    """A retained message reaches a device that subscribes later, and an empty one clears it."""
    gateway = any_place.gateway()
    gateway.publish("ef/1/main/d/pi-1/desired", b"v1", retain=True)
    device = any_place.device("pi-1").subscribe("ef/1/main/d/pi-1/desired")
    assert wait_until(lambda: device.got == [("ef/1/main/d/pi-1/desired", b"v1", True)])
    gateway.publish("ef/1/main/d/pi-1/desired", b"", retain=True)
    assert wait_until(lambda: len(device.got) == 2)
    device.close()
    again = any_place.device("pi-1").subscribe("ef/1/main/d/pi-1/desired").subscribe("ef/1/main/d/pi-1/cmd")
    gateway.publish("ef/1/main/d/pi-1/cmd", b"after")
    assert wait_until(lambda: b"after" in again.payloads("ef/1/main/d/pi-1/cmd"))
    assert again.payloads("ef/1/main/d/pi-1/desired") == []


def test_a_vanished_device_leaves_its_will(any_place: Place) -> None:
    """A dropped connection publishes the device's will."""
    gateway = any_place.gateway().subscribe("ef/1/main/d/+/status")
    device = any_place.device("pi-1", will=("ef/1/main/d/pi-1/status", b"gone"))
    device.kill()
    assert wait_until(lambda: gateway.payloads("ef/1/main/d/pi-1/status") == [b"gone"], 20.0)


def test_a_killed_broker_is_started_again(any_place: Place) -> None:
    """After a kill the broker comes back on its port, and what the gateway repeats is there again."""
    gateway = any_place.gateway()
    gateway.publish("ef/1/main/d/pi-1/desired", b"v1", retain=True)
    killed = any_place.broker.pid
    os.kill(killed, signal.SIGKILL)
    gateway.wait_connected(2)
    assert any_place.broker.alive()
    assert any_place.broker.pid not in (0, killed)
    gateway.publish("ef/1/main/d/pi-1/desired", b"v1", retain=True)
    device = any_place.device("pi-1").subscribe("ef/1/main/d/pi-1/desired")
    assert wait_until(lambda: device.payloads("ef/1/main/d/pi-1/desired") == [b"v1"])


def test_a_stopped_broker_is_gone(any_place: Place) -> None:
    """`stop` ends the process for good, and may be called twice."""
    pid = any_place.broker.pid
    any_place.broker.stop()
    any_place.broker.stop()
    assert not any_place.broker.alive()
    assert any_place.broker.pid == 0
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_taken_port_is_an_error(any_place: Place, tmp_path: Path) -> None:
    """A second broker on the same port does not start and says why."""
    with pytest.raises(UnreachableError, match="another program listens"):
        start_broker(
            any_place.broker.kind, state_dir=tmp_path / "two", tls=any_place.tls, port=any_place.broker.address.port
        )


@pytest.mark.mosquitto
@pytest.mark.skipif(not find_mosquitto(), reason="mosquitto is not installed")
class TestMosquittoKeepsDevicesApart:
    """The access list and the client ids."""

    def test_a_device_cannot_write_as_another(self, secure_place: Place) -> None:
        """A forged report never reaches the gateway; the device's own does."""
        gateway = secure_place.gateway().subscribe("ef/1/main/d/+/reported")
        device = secure_place.device("pi-1")
        device.publish("ef/1/main/d/pi-2/reported", b"forged")
        device.publish("ef/1/main/d/pi-1/reported", b"mine")
        assert wait_until(lambda: gateway.payloads("ef/1/main/d/pi-1/reported") == [b"mine"])
        assert gateway.payloads("ef/1/main/d/pi-2/reported") == []
        assert device.publish_codes == ["Not authorized", "Success"]

    def test_a_device_cannot_write_its_own_desired(self, secure_place: Place) -> None:
        """What the server says to a device only the server can say."""
        device = secure_place.device("pi-1").subscribe("ef/1/main/d/pi-1/desired")
        device.publish("ef/1/main/d/pi-1/desired", b"self-made", retain=True)
        secure_place.gateway().publish("ef/1/main/d/pi-1/desired", b"genuine")
        assert wait_until(lambda: device.payloads("ef/1/main/d/pi-1/desired") == [b"genuine"])

    def test_a_device_cannot_read_another(self, secure_place: Place) -> None:
        """Subscribing to everything yields a device only its own topics, the server's status and hints."""
        device = secure_place.device("pi-1").subscribe("#").subscribe("ef/1/main/d/pi-2/desired")
        gateway = secure_place.gateway()
        gateway.publish("ef/1/main/d/pi-2/desired", b"secret")
        gateway.publish("ef/1/main/server/status", b"there")
        gateway.publish("ef/1/main/d/pi-1/desired", b"own")
        assert wait_until(lambda: len(device.got) >= 2)
        assert {payload for _, payload, _ in device.got} == {b"there", b"own"}

    def test_a_device_cannot_take_anothers_client_id(self, secure_place: Place) -> None:
        """A device that connects under another's client id does not throw the other out."""
        victim = secure_place.device("pi-2").subscribe("ef/1/main/d/pi-2/desired")
        secure_place.device("pi-1", client_id="pi-2")
        secure_place.gateway().publish("ef/1/main/d/pi-2/desired", b"still here")
        assert wait_until(lambda: victim.payloads("ef/1/main/d/pi-2/desired") == [b"still here"])
        assert victim.disconnects == 0

    def test_without_a_certificate_nobody_connects(self, secure_place: Place) -> None:
        """A client with the CA but no certificate of its own is refused."""
        stranger = TestClient(secure_place.broker.address, Credentials(ca_cert=secure_place.tls.ca_cert), "pi-9")
        try:
            assert not wait_until(lambda: stranger.connects > 0, 1.0)
        finally:
            stranger.close()


@pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=needs_mosquitto)])
def test_a_broker_ends_with_its_server(kind: str, tmp_path: Path) -> None:
    """When the server is killed outright, its broker goes too."""
    tls = make_ca(tmp_path / "ca")
    program = (
        "import sys, time; from pathlib import Path\n"
        "from fleet_server.broker.choose import start_broker; from fleet_server.broker.running import BrokerTls\n"
        "tls = BrokerTls(Path(sys.argv[2]), Path(sys.argv[3]))\n"
        f"print(start_broker({kind!r}, state_dir=Path(sys.argv[1]), tls=tls).pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state"), str(tls.ca_cert), str(tls.ca_key)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        server.kill()
    assert wait_until(
        lambda: not Path(f"/proc/{pid}/cmdline").exists() or not Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_auto_without_a_ca_takes_the_embedded_broker(tmp_path: Path) -> None:
    """`auto` says which broker it took and why."""
    broker = start_broker("auto", state_dir=tmp_path)
    try:
        assert (broker.kind, broker.address.tls) == ("embedded", False)
        assert "mosquitto" in broker.why
    finally:
        broker.stop()


def test_the_embedded_broker_stays_on_loopback(tmp_path: Path) -> None:
    """Without access rules it must not be reachable from other machines."""
    with pytest.raises(ConfigError, match="loopback"):
        start_broker("embedded", state_dir=tmp_path, host="0.0.0.0")  # noqa: S104 -- it must be refused
