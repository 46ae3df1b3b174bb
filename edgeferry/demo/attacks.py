"""Two attackers: one swaps a model's bytes in the server's storage, one owns the broker and forges a document."""

from __future__ import annotations

import base64
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from edgeferry.demo.iterations import MODEL
from edgeferry.demo.processes import wait_for
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import RUNS_NEW_RELEASE, DeploymentState
from fleet_contract.errors import UnreachableError
from fleet_contract.rollout import RolloutState
from fleet_contract.signing import SignedDocument
from fleet_contract.topics import DEFAULT_TENANT, DeviceTopic, device_topic

if TYPE_CHECKING:
    from edgeferry.demo.narrator import Narrator
    from edgeferry.demo.world import World
    from fleet_contract.api import AuditView


def play_attacks(world: World, narrator: Narrator, *, bad_version: int) -> None:
    """Both attacks; each must be refused by the device, leave it serving, and stand in the audit log."""
    before = world.running()
    victim = _without(world, bad_version)
    _tamper_blob(world, narrator, bad_version, victim)
    _tamper_desired(world, narrator, victim)
    narrator.expect("every device still serves what it served", holds=world.running() == before)
    check = world.client().verify_audit()
    narrator.expect(f"the audit log's hash chain holds over {check.entries} entries", holds=check.intact)


def _without(world: World, version: int) -> str:
    """A device that never had the version: its blobs must travel."""
    client = world.client()
    rollout = next(each for each in client.rollouts() if each.version == version)
    return next(each.device_id for each in client.rollout_devices(rollout.id) if each.stage != rollout.stages[0].name)


def _tamper_blob(world: World, narrator: Narrator, version: int, victim: str) -> None:
    client = world.client()
    manifest = client.release(MODEL, version).manifest
    blobs = [variant.blob.sha256 for variant in manifest.variants]
    files = [path for sha256 in blobs for path in (world.folder / "server").rglob(sha256) if path.is_file()]
    narrator.expect("the attacker finds the blobs in the server's storage", holds=len(files) == len(blobs) > 0)
    originals = [_flip_last_byte(path) for path in files]
    ended = world.roll_out(version, select={"site": victim})
    for path, data in zip(files, originals, strict=True):
        path.write_bytes(data)
    history = [event for event in client.device_events(victim) if event.version == version]
    narrator.expect(
        "a tampered blob is refused: the rollout ended and the device never activated it",
        holds=ended.state is not RolloutState.COMPLETED
        and any(event.to_state is DeploymentState.FAILED for event in history)
        and not any(event.to_state in RUNS_NEW_RELEASE for event in history),
        detail=f"rollout {ended.state}, device {[str(event.to_state) for event in history]}",
    )
    _expect_audit(world, narrator, "refuse-blob")


def _flip_last_byte(path: Path) -> bytes:
    """Tampers with a file; its original bytes."""
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 0xFF]))
    return data


def _tamper_desired(world: World, narrator: Narrator, victim: str) -> None:
    topic = device_topic(DEFAULT_TENANT, victim, DeviceTopic.DESIRED)
    with Intruder(world) as intruder:
        document = decode(intruder.read_retained(topic), SignedDocument)
        payload: dict[str, Any] = msgspec.json.decode(base64.b64decode(document.payload))
        payload["rev"] += 1
        payload["slots"][0]["version"] = 1
        forged = base64.b64encode(msgspec.json.encode(payload)).decode()
        intruder.publish(topic, encode(msgspec.structs.replace(document, payload=forged)))
    narrator.say(f"an intruder on the broker told {victim} to go back to v1, under the old signature")
    _expect_audit(world, narrator, "refuse-desired")


def _expect_audit(world: World, narrator: Narrator, action: str) -> None:
    wait_for(f"{action} in the audit log", lambda: _find_audit(world, action) is not None, timeout_s=20.0)
    entry = _find_audit(world, action)
    narrator.expect(f"the audit log says {action}", holds=entry is not None)
    if entry:
        narrator.mark(f"{entry.action} by {entry.actor}")
        narrator.say(f"    {entry.detail}")


def _find_audit(world: World, action: str) -> AuditView | None:
    return next((entry for entry in world.client().audit() if entry.action == action), None)


class Intruder:
    """Somebody who owns the broker: connected with the gateway's own credentials where there are any."""

    def __init__(self, world: World) -> None:
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "intruder", protocol=mqtt.MQTTv5)
        self._world = world
        self._message = threading.Event()
        self._payload = b""

    def __enter__(self) -> Self:
        stolen = self._world.folder / "server" / "broker"
        if (stolen / "gateway.crt").exists():
            self._client.tls_set(str(stolen / "ca.crt"), str(stolen / "gateway.crt"), str(stolen / "gateway.pem"))
        self._client.on_message = self._take
        self._client.connect("127.0.0.1", self._world.broker_port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def read_retained(self, topic: str) -> bytes:
        """The retained message of a topic.

        Raises:
            UnreachableError: there is none.
        """
        self._client.subscribe(topic, 1)
        if not self._message.wait(10.0):
            raise UnreachableError(f"the intruder saw no retained message on {topic}")
        return self._payload

    def publish(self, topic: str, payload: bytes) -> None:
        """Publishes and waits until the broker has it."""
        self._client.publish(topic, payload, qos=1, retain=True).wait_for_publish(10.0)

    def _take(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        self._payload = bytes(message.payload)
        self._message.set()
