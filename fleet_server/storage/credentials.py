"""The tables of claims and device tokens. Secrets are stored as SHA-256 only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata, upsert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

claims = sa.Table(
    "claims",
    metadata,
    sa.Column("secret_sha256", sa.String(64), primary_key=True),
    sa.Column("device_id", sa.String(63), nullable=False, index=True),
    sa.Column("labels", Document(dict[str, str]), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("used_at", UtcDateTime),
    sa.Column("used_key_sha256", sa.String(64), nullable=False, default=""),
)

device_tokens = sa.Table(
    "device_tokens",
    metadata,
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("certificate_serial", sa.String(64), nullable=False),
    sa.Column("certificate_expires_at", UtcDateTime, nullable=False),
)


def add_claim(
    connection: Connection,
    secret_sha256: str,
    *,
    device_id: str,
    labels: dict[str, str],
    created_at: datetime,
    expires_at: datetime,
) -> None:
    """Stores a claim; claims of the same device that nobody has used yet are withdrawn."""
    connection.execute(claims.delete().where(claims.c.device_id == device_id, claims.c.used_at.is_(None)))
    connection.execute(
        claims.insert().values(
            secret_sha256=secret_sha256,
            device_id=device_id,
            labels=labels,
            created_at=created_at,
            expires_at=expires_at,
        )
    )


def use_claim(connection: Connection, secret_sha256: str, key_sha256: str, now: datetime) -> Row[Any] | None:
    """Consumes a claim for the device key of that hash; None where it is unknown, expired or another key's.

    The same key may use its claim again while it lasts: its first answer may have been lost on the way.
    """
    unused = claims.c.used_at.is_(None) | (claims.c.used_key_sha256 == key_sha256)
    mine = (claims.c.secret_sha256 == secret_sha256) & (claims.c.expires_at > now) & unused
    taken = connection.execute(claims.update().where(mine).values(used_at=now, used_key_sha256=key_sha256))
    if taken.rowcount != 1:
        return None
    return connection.execute(sa.select(claims).where(claims.c.secret_sha256 == secret_sha256)).one()


def put_token(connection: Connection, device_id: str, token_sha256: str, serial: str, expires_at: datetime) -> None:
    """Stores a device's token and certificate in place of the ones before."""
    values = {
        "device_id": device_id,
        "token_sha256": token_sha256,
        "certificate_serial": serial,
        "certificate_expires_at": expires_at,
    }
    upsert(connection, device_tokens, values, key=["device_id"])


def device_of_token(connection: Connection, token_sha256: str) -> str | None:
    """The device whose token has that hash."""
    query = sa.select(device_tokens.c.device_id).where(device_tokens.c.token_sha256 == token_sha256)
    return connection.execute(query).scalar_one_or_none()


def revoke(connection: Connection, device_id: str) -> None:
    """Forgets a device's token and claims."""
    connection.execute(device_tokens.delete().where(device_tokens.c.device_id == device_id))
    connection.execute(claims.delete().where(claims.c.device_id == device_id))
