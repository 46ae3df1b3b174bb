"""One message from a device to the service that takes it. The device is who the topic says, never the payload."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import UNSET

from fleet_contract.codec import decode
from fleet_contract.device_profile import DeviceProfile
from fleet_contract.errors import ContractError
from fleet_contract.messages import CommandResult, DeviceStatus, Event, EventKind, Reported, SecurityReport
from fleet_contract.topics import DeviceTopic, parse_device_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy.engine import Connection

    from fleet_contract.names import DeviceId
    from fleet_server.commands import Commands
    from fleet_server.devices import Devices
    from fleet_server.ingest import Ingest

MAX_SEQ = 2**63 - 1


class Routing:
    """Knows for each topic who takes it. `on_birth` hears of a device that has come online, after the commit."""

    def __init__(self, tenant: str, devices: Devices, commands: Commands, ingest: Ingest) -> None:
        self._tenant = tenant
        self._devices = devices
        self._commands = commands
        self._ingest = ingest
        self.on_birth: Callable[[str], None] | None = None

    def take(self, topic: str, payload: bytes, connection: Connection) -> None:
        """Has the message taken, in the caller's transaction; an empty payload is only a topic being cleared.

        Raises:
            ContractError: the topic or the payload is malformed.
        """
        parsed = parse_device_topic(topic)
        if parsed.tenant != self._tenant:
            raise ContractError.mismatch("topic: tenant", got=parsed.tenant, expected=self._tenant)
        if payload:
            self._dispatch(parsed.device_id, parsed.topic, payload, connection)

    def _dispatch(self, device_id: DeviceId, topic: DeviceTopic, payload: bytes, connection: Connection) -> None:
        match topic:
            case DeviceTopic.STATUS:
                self._take_status(device_id, decode(payload, DeviceStatus), connection)
            case DeviceTopic.PROFILE:
                self._devices.take_profile(device_id, decode(payload, DeviceProfile), connection=connection)
            case DeviceTopic.REPORTED:
                reported = decode(payload, Reported)
                _check_seq(reported.seq)
                self._devices.take_reported(device_id, reported, connection=connection)
            case DeviceTopic.EVENT:
                self._take_event(device_id, payload, connection)
            case DeviceTopic.COMMAND_RESULT:
                self._commands.take_result(device_id, decode(payload, CommandResult), connection=connection)
            case DeviceTopic.TELEMETRY:
                if self._devices.touch(device_id, connection=connection):
                    self._ingest.take_batch(device_id, payload, connection=connection)
            case DeviceTopic.DESIRED | DeviceTopic.COMMAND:
                raise ContractError(f"topic {topic}: only the server sends on it")

    def _take_status(self, device_id: DeviceId, status: DeviceStatus, connection: Connection) -> None:
        if self._devices.take_status(device_id, status, connection=connection) and status.online and self.on_birth:
            self.on_birth(device_id)

    def _take_event(self, device_id: DeviceId, payload: bytes, connection: Connection) -> None:
        if decode(payload, EventKind).refused is UNSET:
            event = decode(payload, Event)
            _check_seq(event.seq)
            self._devices.take_event(device_id, event, connection=connection)
        else:
            report = decode(payload, SecurityReport)
            _check_seq(report.seq)
            self._devices.take_security(device_id, report, connection=connection)


def _check_seq(seq: int) -> None:
    if seq > MAX_SEQ:
        raise ContractError.mismatch("seq", got=seq, expected="below 2**63")
