"""The table of answers to writes that carried an Idempotency-Key, kept for as long as a client may retry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import UtcDateTime
from fleet_server.storage.database import insert_new, metadata

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

answers = sa.Table(
    "idempotent_answers",
    metadata,
    sa.Column("key_sha256", sa.String(64), primary_key=True),
    sa.Column("status", sa.Integer, nullable=False),
    sa.Column("media_type", sa.String(100), nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False, index=True),
)


def find(connection: Connection, key_sha256: str, now: datetime) -> Row[Any] | None:
    """The answer that was given for a key."""
    query = sa.select(answers).where(answers.c.key_sha256 == key_sha256, answers.c.expires_at > now)
    return connection.execute(query).first()


def put(
    connection: Connection, key_sha256: str, *, status: int, media_type: str, body: bytes, expires_at: datetime
) -> None:
    """Remembers an answer; the first one for a key stands."""
    values = {
        "key_sha256": key_sha256,
        "status": status,
        "media_type": media_type,
        "body": body,
        "expires_at": expires_at,
    }
    insert_new(connection, answers, values, key=["key_sha256"])


def drop_expired(connection: Connection, now: datetime) -> None:
    """Forgets what no client retries any more."""
    connection.execute(answers.delete().where(answers.c.expires_at <= now))
