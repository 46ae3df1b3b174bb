"""The table of commands: what was signed, whether a broker took it, and what the device answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import UtcDateTime
from fleet_server.storage.database import metadata

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.messages import Command, CommandResult

commands = sa.Table(
    "commands",
    metadata,
    sa.Column("id", sa.String(63), primary_key=True),
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), nullable=False, index=True),
    sa.Column("name", sa.String(32), nullable=False),
    sa.Column("issued_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
    sa.Column("signed", sa.LargeBinary, nullable=False),
    sa.Column("accepted", sa.Boolean),
    sa.Column("code", sa.String(200), nullable=False, default=""),
    sa.Column("detail", sa.Text, nullable=False, default=""),
)


def insert(connection: Connection, command: Command, signed: bytes) -> None:
    """Adds a command."""
    connection.execute(
        commands.insert().values(
            id=command.id,
            device_id=command.device_id,
            name=command.name.value,
            issued_at=command.issued_at,
            expires_at=command.expires_at,
            signed=signed,
        )
    )


def find(connection: Connection, device_id: str, command_id: str) -> Row[Any] | None:
    """One command of a device."""
    query = sa.select(commands).where(commands.c.id == command_id, commands.c.device_id == device_id)
    return connection.execute(query).first()


def put_result(connection: Connection, device_id: str, result: CommandResult) -> bool:
    """Stores a device's first answer to its command; whether there was one to answer."""
    open_one = sa.and_(commands.c.id == result.id, commands.c.device_id == device_id, commands.c.accepted.is_(None))
    values = {"accepted": result.accepted, "code": result.code[:200], "detail": result.detail[:2000]}
    return connection.execute(commands.update().where(open_one).values(**values)).rowcount == 1


def unanswered(connection: Connection, now: datetime, *, device_id: str = "") -> list[Row[Any]]:
    """Commands without an answer that have not expired, of one device or of all, the oldest first."""
    query = sa.select(commands).where(commands.c.accepted.is_(None), commands.c.expires_at > now)
    if device_id:
        query = query.where(commands.c.device_id == device_id)
    return list(connection.execute(query.order_by(commands.c.issued_at)))
