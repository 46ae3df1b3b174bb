"""The table of samples: what a device said of an input and what it was labelled; the bytes are blobs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import insert_new, metadata

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

samples = sa.Table(
    "samples",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(63), nullable=False, unique=True),
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), nullable=False),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("request_id", sa.String(63), nullable=False),
    sa.Column("captured_at", UtcDateTime, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("predicted", sa.String(300), nullable=False),
    sa.Column("confidence", sa.Float, nullable=False),
    sa.Column("chosen", sa.String(63), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("dtype", sa.String(16), nullable=False),
    sa.Column("shape", Document(tuple[int, ...]), nullable=False),
    sa.Column("label", sa.String(300), nullable=False, default=""),
    sa.Column("labelled_by", sa.String(200), nullable=False, default=""),
    sa.Column("labelled_at", UtcDateTime),
    sa.UniqueConstraint("request_id", "sha256"),
)


def insert(connection: Connection, values: dict[str, object]) -> bool:
    """Adds a sample unless the request has one with the same bytes; whether it was added."""
    return insert_new(connection, samples, values, key=["request_id", "sha256"])


def find(connection: Connection, sample_id: str) -> Row[Any] | None:
    """One sample."""
    return connection.execute(sa.select(samples).where(samples.c.id == sample_id)).first()


def set_label(connection: Connection, sample_id: str, *, label: str, by: str, at: datetime) -> None:
    """Labels a sample, in place of an earlier label."""
    values = {"label": label, "labelled_by": by, "labelled_at": at}
    connection.execute(samples.update().where(samples.c.id == sample_id).values(**values))


def total_bytes(connection: Connection, request_id: str, device_id: str = "") -> int:
    """Bytes of all samples of a request, of one device where one is given."""
    query = sa.select(sa.func.coalesce(sa.func.sum(samples.c.size_bytes), 0)).where(samples.c.request_id == request_id)
    if device_id:
        query = query.where(samples.c.device_id == device_id)
    return int(connection.execute(query).scalar_one())


def counts(connection: Connection, request_id: str) -> tuple[int, int]:
    """How many samples a request has, and how many of them are labelled."""
    labelled = sa.func.coalesce(sa.func.sum(sa.case((samples.c.label != "", 1), else_=0)), 0)
    query = sa.select(sa.func.count().label("stored"), labelled.label("labelled")).where(
        samples.c.request_id == request_id
    )
    row = connection.execute(query).one()
    return int(row.stored), int(row.labelled)


def page(
    connection: Connection,
    *,
    request_id: str = "",
    model: str = "",
    labelled: bool | None = None,
    after_number: int = 0,
    limit: int,
) -> list[Row[Any]]:
    """Samples in the order in which they came."""
    query = sa.select(samples).where(samples.c.number > after_number).order_by(samples.c.number).limit(limit)
    if request_id:
        query = query.where(samples.c.request_id == request_id)
    if model:
        query = query.where(samples.c.model == model)
    if labelled is not None:
        query = query.where(samples.c.label != "" if labelled else samples.c.label == "")
    return list(connection.execute(query))
