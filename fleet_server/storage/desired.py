"""The table of desired documents: the signed bytes are the truth that the broker only repeats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_contract.desired import SlotDesired
from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata, upsert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

desired = sa.Table(
    "desired",
    metadata,
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("rev", sa.BigInteger, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("slots", Document(tuple[SlotDesired, ...]), nullable=False),
    sa.Column("signed", sa.LargeBinary),
)


def find(connection: Connection, device_id: str) -> Row[Any] | None:
    """The row of a device; its `signed` is None once the device is decommissioned."""
    return connection.execute(sa.select(desired).where(desired.c.device_id == device_id)).first()


def put(
    connection: Connection,
    device_id: str,
    *,
    rev: int,
    expires_at: datetime,
    slots: tuple[SlotDesired, ...],
    signed: bytes | None,
) -> None:
    """Stores a device's desired document in place of the one before."""
    values = {"device_id": device_id, "rev": rev, "expires_at": expires_at, "slots": slots, "signed": signed}
    upsert(connection, desired, values, key=["device_id"])


def all_signed(connection: Connection) -> list[tuple[str, bytes]]:
    """Every device that has a desired document, with its bytes."""
    query = sa.select(desired.c.device_id, desired.c.signed).where(desired.c.signed.is_not(None))
    return [(row.device_id, row.signed) for row in connection.execute(query)]


def revisions(connection: Connection) -> dict[str, int]:
    """The revision of every device's desired document."""
    return {row.device_id: row.rev for row in connection.execute(sa.select(desired.c.device_id, desired.c.rev))}


def expiring(connection: Connection, before: datetime) -> list[str]:
    """The devices whose document expires before that moment."""
    query = sa.select(desired.c.device_id).where(desired.c.signed.is_not(None), desired.c.expires_at < before)
    return list(connection.execute(query).scalars())
