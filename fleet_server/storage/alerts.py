"""The table of alerts. While one is open, what is raised again under the same key joins it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

alerts = sa.Table(
    "alerts",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("key", sa.String(300), nullable=False, index=True),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("kind", sa.String(63), nullable=False),
    sa.Column("severity", sa.String(16), nullable=False),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("device_ids", Document(tuple[str, ...]), nullable=False),
    sa.Column("summary", sa.Text, nullable=False),
    sa.Column("resolved_at", UtcDateTime),
)


def find(connection: Connection, alert_id: int) -> Row[Any] | None:
    """One alert."""
    return connection.execute(sa.select(alerts).where(alerts.c.id == alert_id)).first()


def find_open(connection: Connection, key: str) -> Row[Any] | None:
    """The open alert of that key."""
    return connection.execute(sa.select(alerts).where(alerts.c.key == key, alerts.c.resolved_at.is_(None))).first()


def insert(connection: Connection, values: dict[str, object]) -> int:
    """Adds an alert and returns its id."""
    return int(connection.execute(alerts.insert().values(**values).returning(alerts.c.id)).scalar_one())


def update(connection: Connection, alert_id: int, **values: object) -> None:
    """Sets columns of one alert."""
    connection.execute(alerts.update().where(alerts.c.id == alert_id).values(**values))


def page(connection: Connection, *, open_only: bool, before_id: int | None, limit: int) -> list[Row[Any]]:
    """Alerts, the newest first."""
    query = sa.select(alerts).order_by(alerts.c.id.desc()).limit(limit)
    if open_only:
        query = query.where(alerts.c.resolved_at.is_(None))
    if before_id is not None:
        query = query.where(alerts.c.id < before_id)
    return list(connection.execute(query))


def count_open(connection: Connection) -> int:
    """How many alerts are open."""
    query = sa.select(sa.func.count()).select_from(alerts).where(alerts.c.resolved_at.is_(None))
    return int(connection.execute(query).scalar_one())


def open_of_kinds(connection: Connection, kinds: Iterable[str], *, since: datetime | None = None) -> list[Row[Any]]:
    """Open alerts of these kinds, all or those raised since a moment."""
    query = sa.select(alerts).where(alerts.c.resolved_at.is_(None), alerts.c.kind.in_(list(kinds)))
    if since is not None:
        query = query.where(alerts.c.at >= since)
    return list(connection.execute(query.order_by(alerts.c.id)))
