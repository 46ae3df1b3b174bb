"""The tables of devices, their history and the security reports that were already taken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_contract.device_profile import DeviceProfile
from fleet_contract.messages import Event, Reported
from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import insert_new, metadata, upsert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.messages import SecurityReport

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", sa.String(63), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("removed_at", UtcDateTime),
    sa.Column("labels", Document(dict[str, str]), nullable=False),
    sa.Column("profile", Document(DeviceProfile)),
    sa.Column("online", sa.Boolean, nullable=False, default=False),
    sa.Column("session_id", sa.String(200), nullable=False, default=""),
    sa.Column("previous_session_id", sa.String(200), nullable=False, default=""),
    sa.Column("last_seen_at", UtcDateTime),
    sa.Column("reported_seq", sa.BigInteger, nullable=False, default=-1),
    sa.Column("reported", Document(Reported)),
    sa.Column("drift_score", sa.Float, nullable=False, default=0.0),
    sa.Column("drifted", sa.Boolean, nullable=False, default=False),
)

device_events = sa.Table(
    "device_events",
    metadata,
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("deployment_id", sa.String(200), nullable=False, index=True),
    sa.Column("event", Document(Event), nullable=False),
)

security_reports = sa.Table(
    "security_reports",
    metadata,
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("seq", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
)


def find(connection: Connection, device_id: str) -> Row[Any] | None:
    """The row of a device, also of a decommissioned one."""
    return connection.execute(sa.select(devices).where(devices.c.device_id == device_id)).first()


def insert(connection: Connection, device_id: str, at: datetime) -> None:
    """Adds a device of which nothing is known yet, unless it is there."""
    insert_new(connection, devices, {"device_id": device_id, "created_at": at, "labels": {}}, key=["device_id"])


def update(connection: Connection, device_id: str, **values: object) -> None:
    """Sets columns of one device."""
    connection.execute(devices.update().where(devices.c.device_id == device_id).values(**values))


def members(connection: Connection, *, after: str = "", limit: int | None = None) -> list[Row[Any]]:
    """The devices that are not decommissioned, by id, after `after`."""
    query = sa.select(devices).where(devices.c.removed_at.is_(None), devices.c.device_id > after)
    return list(connection.execute(query.order_by(devices.c.device_id).limit(limit)))


def removed_ids(connection: Connection) -> list[str]:
    """The devices that were decommissioned."""
    query = sa.select(devices.c.device_id).where(devices.c.removed_at.is_not(None))
    return list(connection.execute(query).scalars())


def put_event(connection: Connection, device_id: str, event: Event) -> None:
    """Stores an event; the same (device, seq) again changes nothing but its own row."""
    values = {
        "device_id": device_id,
        "seq": event.seq,
        "at": event.at,
        "deployment_id": event.deployment_id,
        "event": event,
    }
    upsert(connection, device_events, values, key=["device_id", "seq"])


def events(connection: Connection, device_id: str, *, before_seq: int | None, limit: int) -> list[Event]:
    """A device's events, the newest first."""
    query = sa.select(device_events.c.event).where(device_events.c.device_id == device_id)
    if before_seq is not None:
        query = query.where(device_events.c.seq < before_seq)
    return list(connection.execute(query.order_by(device_events.c.seq.desc()).limit(limit)).scalars())


def put_security_report(connection: Connection, device_id: str, report: SecurityReport) -> bool:
    """Remembers that a report was taken; False when it had been."""
    values = {"device_id": device_id, "seq": report.seq, "at": report.at}
    return insert_new(connection, security_reports, values, key=["device_id", "seq"])


def forget_history(connection: Connection, device_id: str) -> None:
    """Drops what a device's earlier life reported: a device that enrols again counts from the start."""
    connection.execute(device_events.delete().where(device_events.c.device_id == device_id))
    connection.execute(security_reports.delete().where(security_reports.c.device_id == device_id))
