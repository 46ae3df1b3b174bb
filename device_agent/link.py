"""The connection to the broker: MQTT 5, one client id for ever, birth and will on the same retained topic.

Rules: the session is an optimisation (expiry 24 h); the agent subscribes on every connect, so that a broker that
forgot it loses nothing. Birth and will share a session id, so that a late will of an old session means nothing.
Full-jitter backoff from 1 to 60 s, which falls back only after a connection has lasted, so that being kicked
again and again slows down too. A message counts as delivered when the broker has acknowledged it AND somebody is
subscribed: MQTT 5 brokers say so in the acknowledgement, and what nobody took would be lost (a broker that forgot
the server's session). A retained message waits on the broker for whoever comes.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Final

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from fleet_contract.codec import MAX_DOCUMENT_BYTES, encode
from fleet_contract.errors import UnreachableError
from fleet_contract.messages import DeviceStatus
from fleet_contract.topics import TABLE, DeviceTopic, device_topic, server_status_topic

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from paho.mqtt import client as mqtt
    from paho.mqtt.reasoncodes import ReasonCode

    from device_agent.identity import Identity
    from device_agent.ports import OnMessage

KEEPALIVE_S: Final = 30
SESSION_EXPIRY_S: Final = 24 * 3600
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
LASTING_S: Final = 60.0
"""A connection that lasted this long was a good one."""
ANSWER_TIMEOUT_S: Final = 15.0
GOODBYE_S: Final = 2.0
MAX_QUEUED: Final = 256
NO_MATCHING_SUBSCRIBERS: Final = 0x10
FIRST_ERROR_CODE: Final = 0x80
"""PUBACK reason codes. Source: MQTT 5.0, table 3-4."""

_log = logging.getLogger(__name__)


class _WatchfulClient(aiomqtt.Client):
    """Keeps the reason code of the last PUBACK, which aiomqtt drops."""

    reason_code = 0

    def _on_publish(
        self, client: mqtt.Client, userdata: object, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        self.reason_code = reason_code.value
        super()._on_publish(client, userdata, mid, reason_code, properties)


class MqttLink:
    """One device's link.

    Args:
        identity: who the device is and where the broker is.
        agent_version: told in the birth message.
        new_session_id: makes an id for each connection.
        now: the effective clock.
        monotonic: reads a clock that does not jump, in seconds.
        rng: for the jitter of reconnects.
    """

    def __init__(
        self,
        identity: Identity,
        *,
        agent_version: str,
        new_session_id: Callable[[], str],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._identity = identity
        self._agent_version = agent_version
        self._new_session_id = new_session_id
        self._now = now
        self._monotonic = monotonic
        self._rng = rng
        self._client: _WatchfulClient | None = None
        self._sending = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Whether messages flow now."""
        return self._client is not None

    async def publish(self, topic: DeviceTopic, payload: bytes) -> None:
        """Returns once the broker has acknowledged the message and, unless it is retained, somebody gets it.

        Raises:
            UnreachableError: not connected, or the connection broke (the message may have arrived all the same),
                or the broker refused it, or nobody is subscribed to it.
        """
        rule = TABLE[topic]
        async with self._sending:  # one at a time, so that the answer is to this message
            if self._client is None:
                raise UnreachableError("broker: not connected")
            client = self._client
            client.reason_code = 0
            try:
                await client.publish(self._topic(topic), payload, rule.qos, rule.retain)
            except aiomqtt.MqttError as error:
                raise UnreachableError(f"broker: {error}") from error
        _raise_if_canceled()
        if client.reason_code >= FIRST_ERROR_CODE:
            raise UnreachableError(f"broker: refused {topic}: reason code {client.reason_code}")
        if client.reason_code == NO_MATCHING_SUBSCRIBERS and not rule.retain:
            raise UnreachableError(f"broker: nobody listens to {topic}")

    async def run(self, on_connect: Callable[[], Awaitable[None]], on_message: OnMessage) -> None:
        """Keeps connected until canceled, then says goodbye."""
        failures = 0
        while True:
            started_s = self._monotonic()
            try:
                await self._session(on_connect, on_message)
            except (aiomqtt.MqttError, UnreachableError, OSError) as error:
                _raise_if_canceled()
                _log.warning("broker lost error=%s", error)
            failures = 1 if self._monotonic() - started_s >= LASTING_S else failures + 1
            await asyncio.sleep(self._rng.uniform(0.0, pause_limit_s(failures)))

    async def _session(self, on_connect: Callable[[], Awaitable[None]], on_message: OnMessage) -> None:
        session_id = self._new_session_id()
        async with self._new_client(session_id) as client:
            await client.subscribe([(topic, 1) for topic in self.subscriptions()])
            self._client = client
            try:
                await self._say(session_id, online=True)
                _log.info("broker connected host=%s", self._identity.membership.broker.host)
                await on_connect()
                _raise_if_canceled()
                async for message in client.messages:
                    await on_message(str(message.topic), _payload(message))
            except asyncio.CancelledError:
                await self._say_goodbye(session_id)
                raise
            finally:
                self._client = None

    def subscriptions(self) -> list[str]:
        """What a device listens to."""
        tenant = self._identity.membership.tenant
        return [self._topic(DeviceTopic.DESIRED), self._topic(DeviceTopic.COMMAND), server_status_topic(tenant)]

    def _new_client(self, session_id: str) -> _WatchfulClient:
        membership = self._identity.membership
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.MaximumPacketSize = 2 * MAX_DOCUMENT_BYTES
        will = DeviceStatus(session_id=session_id, online=False, agent_version=self._agent_version)
        return _WatchfulClient(
            membership.broker.host,
            membership.broker.port,
            identifier=membership.device_id,
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            keepalive=KEEPALIVE_S,
            timeout=ANSWER_TIMEOUT_S,
            properties=properties,
            will=aiomqtt.Will(self._topic(DeviceTopic.STATUS), encode(will), qos=1, retain=True),
            tls_context=tls_context(self._identity) if membership.broker.tls else None,
            max_queued_incoming_messages=MAX_QUEUED,
            max_queued_outgoing_messages=MAX_QUEUED,
        )

    async def _say(self, session_id: str, *, online: bool) -> None:
        status = DeviceStatus(session_id=session_id, online=online, agent_version=self._agent_version, at=self._now())
        await self.publish(DeviceTopic.STATUS, encode(status))

    async def _say_goodbye(self, session_id: str) -> None:
        """A clean end needs no will; where this does not get through, the will says the same."""
        try:
            async with asyncio.timeout(GOODBYE_S):
                await self._say(session_id, online=False)
        except (UnreachableError, TimeoutError) as error:
            _log.warning("goodbye not delivered error=%s", error)

    def _topic(self, topic: DeviceTopic) -> str:
        return device_topic(self._identity.membership.tenant, self._identity.membership.device_id, topic)


def _raise_if_canceled() -> None:
    """Lets a cancellation count that got lost on the way.

    Python 3.11's `asyncio.wait_for`, which aiomqtt uses, swallows one that comes together with the answer, and
    a broker that is lost during the goodbye raises its own error instead.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def pause_limit_s(failures: int) -> float:
    """The longest pause after so many failures in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))


def tls_context(identity: Identity) -> ssl.SSLContext:
    """Trusts the fleet's authority alone and shows the device's own certificate."""
    context = ssl.create_default_context(cafile=str(identity.ca_file))
    context.load_cert_chain(str(identity.certificate_file), str(identity.key_file))
    return context


def _payload(message: aiomqtt.Message) -> bytes:
    payload = message.payload
    return payload if isinstance(payload, bytes) else str(payload or "").encode()
