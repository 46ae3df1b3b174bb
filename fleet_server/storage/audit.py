"""The table of the audit log. Rows are only ever added."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import UtcDateTime
from fleet_server.storage.database import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("actor", sa.String(200), nullable=False),
    sa.Column("action", sa.String(100), nullable=False),
    sa.Column("subject", sa.String(300), nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
)


def last(connection: Connection) -> tuple[int, str]:
    """Id and hash of the newest entry, (0, "") in an empty log; no other writer comes between until the commit."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE audit IN EXCLUSIVE MODE"))
    row = connection.execute(sa.select(audit.c.id, audit.c.hash).order_by(audit.c.id.desc()).limit(1)).first()
    return (row.id, row.hash) if row else (0, "")


def add(connection: Connection, *, id_: int, at: datetime, entry: dict[str, str], digest: str) -> None:
    """Adds one entry."""
    connection.execute(audit.insert().values(id=id_, at=at, hash=digest, **entry))


def page(connection: Connection, *, before_id: int | None, limit: int) -> list[Row[Any]]:
    """Entries, the newest first, older than `before_id`."""
    query = sa.select(audit).order_by(audit.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(audit.c.id < before_id)
    return list(connection.execute(query))


def oldest_first(connection: Connection) -> Iterator[Row[Any]]:
    """Every entry in the order of writing, without holding them all in memory."""
    yield from connection.execution_options(yield_per=1000).execute(sa.select(audit).order_by(audit.c.id))
