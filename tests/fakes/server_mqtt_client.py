"""A small MQTT 5 client for tests: connects, subscribes, remembers what came."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet_contract.api import BrokerAddress
    from fleet_server.broker.running import Credentials


def wait_until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Whether the condition came true in time."""
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if condition():
            return True
        time.sleep(0.01)
    return condition()


class TestClient:
    """One connection. `got` holds (topic, payload, retained)."""

    __test__ = False

    def __init__(
        self,
        address: BrokerAddress,
        credentials: Credentials,
        client_id: str,
        *,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.got: list[tuple[str, bytes, bool]] = []
        self.connects = 0
        self.disconnects = 0
        self.subscribed = 0
        self.publish_codes: list[str] = []
        self.filters: list[str] = []
        self._lock = threading.Lock()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5)
        if credentials.ca_cert:
            self.client.tls_set(
                str(credentials.ca_cert),
                str(credentials.cert) if credentials.cert else None,
                str(credentials.key) if credentials.key else None,
            )
        if will:
            self.client.will_set(will[0], will[1], qos=1, retain=True)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = self._on_message
        self.client.on_publish = self._on_publish
        self.client.on_subscribe = self._on_subscribe
        self.client.reconnect_delay_set(1, 1)
        self.client.connect_async(address.host, address.port, keepalive=10)
        self.client.loop_start()

    def _on_connect(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        del userdata, flags, properties
        if not reason.is_failure:
            self.connects += 1
            for each in self.filters:
                client.subscribe(each, qos=1)

    def _on_disconnect(self, *args: object) -> None:
        del args
        self.disconnects += 1

    def _on_message(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        with self._lock:
            self.got.append((message.topic, bytes(message.payload), message.retain))

    def _on_subscribe(self, *args: object) -> None:
        del args
        self.subscribed += 1

    def _on_publish(self, client: mqtt.Client, userdata: Any, mid: int, reason: Any, properties: Any) -> None:
        del client, userdata, mid, properties
        self.publish_codes.append(str(reason))

    def wait_connected(self, count: int = 1) -> TestClient:
        """Waits for the `count`th connection."""
        assert wait_until(lambda: self.connects >= count), f"not connected: {self.connects}"
        return self

    def subscribe(self, topic_filter: str) -> TestClient:
        """Subscribes now, waits for the answer, and subscribes again after each reconnect."""
        self.filters.append(topic_filter)
        before = self.subscribed
        self.client.subscribe(topic_filter, qos=1)
        assert wait_until(lambda: self.subscribed > before), "no answer to the subscription"
        return self

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        """Publishes with QoS 1 and waits for the acknowledgement."""
        self.client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10.0)

    def payloads(self, topic: str) -> list[bytes]:
        """What came on a topic so far."""
        with self._lock:
            return [payload for each, payload, _ in self.got if each == topic]

    def kill(self) -> None:
        """Drops the connection without a goodbye, so that the will is published."""
        self.client.loop_stop()
        sock = self.client.socket()
        if sock is not None:
            sock.close()

    def close(self) -> None:
        """Says goodbye."""
        self.client.disconnect()
        self.client.loop_stop()
