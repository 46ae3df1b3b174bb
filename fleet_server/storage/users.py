"""The table of users. Tokens are stored as SHA-256 only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import UtcDateTime
from fleet_server.storage.database import insert_new, metadata

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

users = sa.Table(
    "users",
    metadata,
    sa.Column("name", sa.String(63), primary_key=True),
    sa.Column("role", sa.String(20), nullable=False),
    sa.Column("token_sha256", sa.String(64), nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
)


def insert(connection: Connection, name: str, role: str, token_sha256: str, at: datetime) -> bool:
    """Adds a user; False where the name is taken."""
    values = {"name": name, "role": role, "token_sha256": token_sha256, "created_at": at}
    return insert_new(connection, users, values, key=["name"])


def replace_token(connection: Connection, name: str, token_sha256: str) -> None:
    """Gives a user another token."""
    connection.execute(users.update().where(users.c.name == name).values(token_sha256=token_sha256))


def delete(connection: Connection, name: str) -> bool:
    """Removes a user; False where there was none."""
    return connection.execute(users.delete().where(users.c.name == name)).rowcount == 1


def of_token(connection: Connection, token_sha256: str) -> Row[Any] | None:
    """The user whose token has that hash."""
    return connection.execute(sa.select(users).where(users.c.token_sha256 == token_sha256)).first()


def page(connection: Connection, *, after: str = "", limit: int) -> list[Row[Any]]:
    """Users by name."""
    return list(connection.execute(sa.select(users).where(users.c.name > after).order_by(users.c.name).limit(limit)))


def count(connection: Connection, role: str = "") -> int:
    """How many users there are, in all or of one role."""
    query = sa.select(sa.func.count()).select_from(users)
    if role:
        query = query.where(users.c.role == role)
    return connection.execute(query).scalar_one()
