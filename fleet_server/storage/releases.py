"""The tables of releases and of the aliases that move over their versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_contract.release import ReleaseManifest
from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata, upsert

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("release_sha256", sa.String(64), nullable=False),
    sa.Column("published_at", UtcDateTime, nullable=False),
    sa.Column("published_by", sa.String(200), nullable=False),
    sa.Column("manifest", Document(ReleaseManifest), nullable=False),
    sa.UniqueConstraint("model", "version"),
)

aliases = sa.Table(
    "aliases",
    metadata,
    sa.Column("model", sa.String(63), primary_key=True),
    sa.Column("alias", sa.String(63), primary_key=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("moved_at", UtcDateTime, nullable=False),
    sa.ForeignKeyConstraint(["model", "version"], ["releases.model", "releases.version"]),
)


def find(connection: Connection, model: str, version: int) -> Row[Any] | None:
    """One release."""
    query = sa.select(releases).where(releases.c.model == model, releases.c.version == version)
    return connection.execute(query).first()


def page(connection: Connection, *, model: str, before_id: int | None, limit: int) -> list[Row[Any]]:
    """Releases, the newest first, of one model or of all."""
    query = sa.select(releases).order_by(releases.c.id.desc()).limit(limit)
    if model:
        query = query.where(releases.c.model == model)
    if before_id is not None:
        query = query.where(releases.c.id < before_id)
    return list(connection.execute(query))


def insert(connection: Connection, manifest: ReleaseManifest, release_sha256: str, *, at: datetime, actor: str) -> None:
    """Adds a release; it never changes afterwards."""
    connection.execute(
        releases.insert().values(
            model=manifest.model,
            version=manifest.version,
            release_sha256=release_sha256,
            published_at=at,
            published_by=actor,
            manifest=manifest,
        )
    )


def aliases_of(connection: Connection, model: str = "") -> dict[tuple[str, int], tuple[str, ...]]:
    """The aliases on each (model, version)."""
    query = sa.select(aliases).order_by(aliases.c.alias)
    if model:
        query = query.where(aliases.c.model == model)
    found: dict[tuple[str, int], tuple[str, ...]] = {}
    for row in connection.execute(query):
        key = (row.model, row.version)
        found[key] = (*found.get(key, ()), row.alias)
    return found


def version_of_alias(connection: Connection, model: str, alias: str) -> int | None:
    """The version that an alias is on."""
    query = sa.select(aliases.c.version).where(aliases.c.model == model, aliases.c.alias == alias)
    return connection.execute(query).scalar_one_or_none()


def put_alias(connection: Connection, model: str, alias: str, version: int, at: datetime) -> None:
    """Moves an alias."""
    values = {"model": model, "alias": alias, "version": version, "moved_at": at}
    upsert(connection, aliases, values, key=["model", "alias"])
