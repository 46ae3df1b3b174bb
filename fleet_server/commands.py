"""Commands to devices: signed by the director, repeated by the gateway until they are answered or expire.

A device carries out an id once, so repeating is harmless; a broker that forgets loses nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from fleet_contract.api import CommandView
from fleet_contract.errors import NotFoundError
from fleet_contract.messages import Command, CommandName
from fleet_server.identifiers import random_id
from fleet_server.storage import commands as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.api import CommandCreate
    from fleet_contract.messages import CommandResult
    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.devices import Devices
    from fleet_server.director import Director
    from fleet_server.identifiers import IdSource
    from fleet_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class DueCommand:
    """A command that waits for its answer."""

    id: str
    device_id: str
    signed: bytes
    expires_at: datetime


class Commands:
    """The service over the commands' table."""

    def __init__(
        self,
        database: Database,
        *,
        devices: Devices,
        director: Director,
        changes: Changes,
        audit: Audit,
        clock: Clock,
        new_id: IdSource = random_id,
    ) -> None:
        self._database = database
        self._devices = devices
        self._director = director
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._new_id = new_id

    def create(
        self, device_id: str, request: CommandCreate, *, actor: str, connection: Connection | None = None
    ) -> CommandView:
        """Signs a command and has it published after the commit.

        Raises:
            NotFoundError: no such device.
        """
        with self._database.within(connection) as own:
            self._devices.get(device_id, connection=own)
            now = self._clock.now()
            command = Command(
                id=self._new_id("c"),
                device_id=device_id,
                name=request.name,
                issued_at=now,
                expires_at=now + timedelta(seconds=request.ttl_s),
                slot=request.slot,
                deployment_id=request.deployment_id,
                max_samples=request.max_samples,
                max_bytes=request.max_bytes,
                duration_s=request.duration_s,
                request_id=request.request_id,
            )
            rows.insert(own, command, self._director.sign_command(command))
            detail = f"{command.id} slot {command.slot} request {command.request_id or '-'}"
            self._audit.record(actor, f"command-{command.name}", device_id, detail, at=now, connection=own)
            after_commit(own, lambda: self._changes.publish("command", device_id))
            return CommandView(id=command.id, device_id=device_id, name=command.name, issued_at=now)

    def get(self, device_id: str, command_id: str) -> CommandView:
        """A command and, once it came, the device's answer.

        Raises:
            NotFoundError: no such command of that device.
        """
        with self._database.read() as connection:
            row = rows.find(connection, device_id, command_id)
        if row is None:
            raise NotFoundError(f"command {command_id} of device {device_id}: there is none")
        return _view(row)

    def take_result(self, device_id: str, result: CommandResult, *, connection: Connection | None = None) -> bool:
        """Takes a device's answer; False when there was no open command of its to answer."""
        with self._database.within(connection) as own:
            taken = rows.put_result(own, device_id, result)
            if taken:
                after_commit(own, lambda: self._changes.publish("command-result", device_id))
            return taken

    def due(self, *, device_id: str = "") -> list[DueCommand]:
        """The commands to publish, again where they were published before: unanswered and not expired."""
        with self._database.read() as connection:
            found = rows.unanswered(connection, self._clock.now(), device_id=device_id)
        return [DueCommand(row.id, row.device_id, row.signed, row.expires_at) for row in found]


def _view(row: Row[Any]) -> CommandView:
    return CommandView(
        id=row.id,
        device_id=row.device_id,
        name=CommandName(row.name),
        issued_at=row.issued_at,
        accepted=row.accepted,
        code=row.code,
        detail=row.detail,
    )
