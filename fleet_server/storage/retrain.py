"""The table of retrain requests with their leases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from fleet_contract.api import RetrainState
from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata
from fleet_server.storage.releases import releases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

retrain_requests = sa.Table(
    "retrain_requests",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(63), nullable=False, unique=True),
    sa.Column("model", sa.String(63), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("alert_id", sa.Integer, nullable=False, default=0),
    sa.Column("base_version", sa.BigInteger, nullable=False, default=0),
    sa.Column("device_ids", Document(tuple[str, ...]), nullable=False),
    sa.Column("lease_owner", sa.String(200), nullable=False, default=""),
    sa.Column("lease_expires_at", UtcDateTime),
    sa.Column("lease_failures", sa.Integer, nullable=False, default=0),
    sa.Column("result_version", sa.BigInteger, nullable=False, default=0),
    sa.Column("rollout_id", sa.String(63), nullable=False, default=""),
    sa.Column("detail", sa.Text, nullable=False, default=""),
)

LIVE: Final = (RetrainState.COLLECTING.value, RetrainState.OPEN.value, RetrainState.LEASED.value)


def insert(connection: Connection, values: dict[str, object]) -> None:
    """Adds a request."""
    connection.execute(retrain_requests.insert().values(**values))


def find(connection: Connection, request_id: str) -> Row[Any] | None:
    """One request."""
    return connection.execute(sa.select(retrain_requests).where(retrain_requests.c.id == request_id)).first()


def update(connection: Connection, request_id: str, **values: object) -> None:
    """Sets columns of one request."""
    connection.execute(retrain_requests.update().where(retrain_requests.c.id == request_id).values(**values))


def page(connection: Connection, *, before_number: int | None, limit: int) -> list[Row[Any]]:
    """Requests, the newest first."""
    query = sa.select(retrain_requests).order_by(retrain_requests.c.number.desc()).limit(limit)
    if before_number is not None:
        query = query.where(retrain_requests.c.number < before_number)
    return list(connection.execute(query))


def oldest_open(connection: Connection, models: Sequence[str]) -> Row[Any] | None:
    """The oldest open request, of one of `models` or of any."""
    query = sa.select(retrain_requests).where(retrain_requests.c.state == RetrainState.OPEN.value)
    if models:
        query = query.where(retrain_requests.c.model.in_(list(models)))
    return connection.execute(query.order_by(retrain_requests.c.number).limit(1).with_for_update()).first()


def expired_leases(connection: Connection, now: datetime) -> list[Row[Any]]:
    """Leased requests whose worker has not been heard in time."""
    query = sa.select(retrain_requests).where(
        retrain_requests.c.state == RetrainState.LEASED.value, retrain_requests.c.lease_expires_at <= now
    )
    return list(connection.execute(query.with_for_update()))


def live_of_model(connection: Connection, model: str) -> Row[Any] | None:
    """The request of a model that has not ended, if there is one."""
    query = sa.select(retrain_requests).where(retrain_requests.c.model == model, retrain_requests.c.state.in_(LIVE))
    return connection.execute(query.order_by(retrain_requests.c.number).limit(1)).first()


def last_by_policy(connection: Connection, model: str, actor: str) -> Row[Any] | None:
    """The newest request that the policy opened for a model."""
    mine = sa.and_(retrain_requests.c.model == model, retrain_requests.c.created_by == actor)
    query = sa.select(retrain_requests).where(mine).order_by(retrain_requests.c.number.desc()).limit(1)
    return connection.execute(query).first()


def count_since(connection: Connection, actor: str, since: datetime) -> int:
    """How many requests the policy has opened since a moment, for all models."""
    query = sa.select(sa.func.count()).select_from(retrain_requests)
    query = query.where(retrain_requests.c.created_by == actor, retrain_requests.c.created_at > since)
    return int(connection.execute(query).scalar_one())


def newest_release(connection: Connection, model: str) -> int | None:
    """The highest version that a model has a release of."""
    return connection.execute(sa.select(sa.func.max(releases.c.version)).where(releases.c.model == model)).scalar()


def count_live(connection: Connection) -> int:
    """How many requests have not ended."""
    query = sa.select(sa.func.count()).select_from(retrain_requests).where(retrain_requests.c.state.in_(LIVE))
    return int(connection.execute(query).scalar_one())
