"""The gateway's one MQTT 5 connection, over paho: subscribes on every connect, acknowledges when told to.

Its session persists for an hour at brokers that can keep one, so that QoS 1 messages wait out a restart. What
arrives is handed to `on_message` in paho's thread; `Receive Maximum` bounds how much is unacknowledged.
"""

from __future__ import annotations

import logging
import math
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleet_contract.codec import encode
from fleet_contract.errors import TrustError, UnreachableError
from fleet_contract.messages import ServerStatus
from fleet_contract.topics import TABLE, Sender, device_filter, server_status_topic
from fleet_server.broker.running import GATEWAY_CLIENT_ID

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet_server.broker.running import Credentials, RunningBroker
    from fleet_server.clock import Clock

log = logging.getLogger(__name__)

KEEPALIVE_S: Final = 30
SESSION_EXPIRY_S: Final = 3600
MAX_UNACKNOWLEDGED: Final = 65_535
MAX_QUEUED_PUBLISHES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message, with what its acknowledgement needs."""

    topic: str
    payload: bytes
    mid: int
    qos: int


class Link:
    """Connects, and keeps connecting until `stop`."""

    def __init__(
        self,
        broker: RunningBroker,
        *,
        tenant: str,
        clock: Clock,
        on_message: Callable[[Incoming], None],
        on_connected: Callable[[], None],
        receive_maximum: int,
    ) -> None:
        self._broker = broker
        self._tenant = tenant
        self._clock = clock
        self._on_connected = on_connected
        self._receive_maximum = min(receive_maximum, MAX_UNACKNOWLEDGED)
        self._session_id = secrets.token_hex(8)
        self._take = on_message
        self._client = self._make_client()

    def start(self) -> None:
        """Begins to connect, in a thread of paho's."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho's is untyped
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        address = self._broker.address
        self._client.connect_async(
            address.host, address.port, keepalive=KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._client.loop_start()

    def stop(self) -> None:
        """Says goodbye and ends the thread."""
        if self.connected:
            info = self._client.publish(server_status_topic(self._tenant), self._status(online=False), 1, retain=True)
            wait_published(info, 2.0)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us."""
        return self._client.is_connected()

    def publish(self, topic: str, payload: bytes, *, retain: bool, expiry_s: float = 0.0) -> mqtt.MQTTMessageInfo:
        """Publishes with QoS 1; the answer tells whether the broker has acknowledged it.

        Raises:
            UnreachableError: there is no connection, or too much waits already.
        """
        if not self.connected:
            raise UnreachableError("broker: there is no connection")
        properties = None
        if expiry_s > 0.0:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # as above
            properties.MessageExpiryInterval = math.ceil(expiry_s)
        info = self._client.publish(topic, payload, 1, retain=retain, properties=properties)
        if info.rc is not mqtt.MQTT_ERR_SUCCESS:
            raise UnreachableError(f"broker: cannot publish on {topic}: {mqtt.error_string(info.rc)}")
        return info

    def acknowledge(self, message: Incoming) -> None:
        """Tells the broker that a message is safe with us."""
        if message.qos:
            self._client.ack(message.mid, message.qos)

    def _make_client(self) -> mqtt.Client:
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=GATEWAY_CLIENT_ID, protocol=mqtt.MQTTv5, manual_ack=True
        )
        credentials = self._broker.credentials
        if self._broker.address.tls:
            _use_tls(client, credentials)
        if credentials.username:
            client.username_pw_set(credentials.username, credentials.password)
        client.will_set(server_status_topic(self._tenant), self._status(online=False), 1, retain=True)
        client.reconnect_delay_set(1, 15)
        client.max_queued_messages_set(MAX_QUEUED_PUBLISHES)
        client.max_inflight_messages_set(100)
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_message = self._received
        return client

    def _connected(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        del userdata, flags, properties
        if reason.is_failure:
            log.error("gateway-refused reason=%s", reason)
            return
        log.info("gateway-connected broker=%s:%d", self._broker.address.host, self._broker.address.port)
        filters = [
            (device_filter(self._tenant, topic), 1) for topic, rule in TABLE.items() if rule.sender is Sender.DEVICE
        ]
        client.subscribe(filters)
        client.publish(server_status_topic(self._tenant), self._status(online=True), 1, retain=True)
        self._on_connected()

    def _disconnected(self, client: mqtt.Client, userdata: Any, flags: Any, reason: Any, properties: Any) -> None:
        del client, userdata, flags, properties
        log.warning("gateway-disconnected reason=%s", reason)

    def _received(self, client: mqtt.Client, userdata: Any, message: mqtt.MQTTMessage) -> None:
        del client, userdata
        self._take(Incoming(message.topic, bytes(message.payload), message.mid, message.qos))

    def _status(self, *, online: bool) -> bytes:
        at = self._clock.now() if online else None
        return encode(ServerStatus(session_id=self._session_id, online=online, at=at))


def _use_tls(client: mqtt.Client, credentials: Credentials) -> None:
    ca_cert, cert, key = (
        str(each) if each else None for each in (credentials.ca_cert, credentials.cert, credentials.key)
    )
    try:
        client.tls_set(ca_cert, cert, key)
    except (OSError, ValueError) as error:
        raise TrustError(f"gateway: cannot use its certificate: {error}") from error


def wait_published(info: mqtt.MQTTMessageInfo, timeout_s: float) -> bool:
    """Whether the broker acknowledged a publish in time."""
    try:
        info.wait_for_publish(timeout_s)
    except (RuntimeError, ValueError):
        return False
    return info.is_published()
