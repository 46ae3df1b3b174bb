"""The tables of telemetry windows, of devices' drift baselines and of what the drift monitor last said.

A window is kept as its raw record beside the few numbers that people and charts ask for; (device, slot, seq) is
its identity, so that a window delivered twice is stored once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata, upsert
from fleet_server.storage.devices import devices
from fleet_server.storage.releases import releases

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

windows = sa.Table(
    "windows",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("device_id", sa.String(63), nullable=False),
    sa.Column("slot", sa.String(16), nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("release", sa.String(32), nullable=False),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("model_version", sa.BigInteger, nullable=False),
    sa.Column("frames", sa.BigInteger, nullable=False),
    sa.Column("errors", sa.BigInteger, nullable=False),
    sa.Column("invalid", sa.BigInteger, nullable=False),
    sa.Column("probation", sa.Boolean, nullable=False),
    sa.Column("latency_p50_ms", sa.Float, nullable=False),
    sa.Column("latency_p95_ms", sa.Float, nullable=False),
    sa.Column("mean_confidence", sa.Float, nullable=False),
    sa.Column("rss_mb", sa.Float, nullable=False),
    sa.Column("signal_count", sa.Integer, nullable=False),
    sa.Column("class_count", sa.Integer, nullable=False),
    sa.Column("record", sa.LargeBinary, nullable=False),
    sa.Column("examined", sa.Boolean, nullable=False, default=False),
    sa.Column("drift_score", sa.Float, nullable=False, default=0.0),
    sa.Column("drifted", sa.Boolean, nullable=False, default=False),
    sa.UniqueConstraint("device_id", "slot", "seq"),
    sa.Index("ix_windows_device_id_at", "device_id", "at"),
    sa.Index("ix_windows_examined_id", "examined", "id"),
)

baselines = sa.Table(
    "baselines",
    metadata,
    sa.Column("device_id", sa.String(63), primary_key=True),
    sa.Column("slot", sa.String(16), primary_key=True),
    sa.Column("release", sa.String(32), primary_key=True),
    sa.Column("signal_count", sa.Integer, nullable=False),
    sa.Column("class_count", sa.Integer, nullable=False),
    sa.Column("window_count", sa.Integer, nullable=False),
    sa.Column("counts", sa.LargeBinary, nullable=False),
    sa.Column("means", sa.LargeBinary, nullable=False),
    sa.Column("complete", sa.Boolean, nullable=False, index=True),
)

drift_states = sa.Table(
    "drift_states",
    metadata,
    sa.Column("device_id", sa.String(63), primary_key=True),
    sa.Column("slot", sa.String(16), primary_key=True),
    sa.Column("release", sa.String(32), nullable=False, index=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("model_version", sa.BigInteger, nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Column("input_p", Document(tuple[float, ...]), nullable=False),
    sa.Column("model_p", Document(tuple[float, ...]), nullable=False),
    sa.Column("score", sa.Float, nullable=False),
    sa.Column("input_drifted", sa.Boolean, nullable=False),
    sa.Column("model_drifted", sa.Boolean, nullable=False),
)


def insert_new(connection: Connection, values: Sequence[dict[str, object]]) -> int:
    """Adds the windows that are not there yet; how many those were."""
    if not values:
        return 0
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    key = ["device_id", "slot", "seq"]
    statement = dialect.insert(windows).on_conflict_do_nothing(index_elements=key)
    return connection.execute(statement, list(values)).rowcount


def model_of_release(connection: Connection, prefix: str) -> str | None:
    """The model of the release whose manifest's digest begins with that hex prefix."""
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    query = sa.select(releases.c.model).where(releases.c.release_sha256 >= prefix, releases.c.release_sha256 < end)
    return connection.execute(query.limit(1)).scalar_one_or_none()


def page(
    connection: Connection,
    *,
    device_id: str = "",
    model: str = "",
    since: datetime | None = None,
    before_id: int | None = None,
    limit: int,
) -> list[Row[Any]]:
    """Windows in the order in which they came, the newest first."""
    query = sa.select(windows).order_by(windows.c.id.desc()).limit(limit)
    if device_id:
        query = query.where(windows.c.device_id == device_id)
    if model:
        query = query.where(windows.c.model == model)
    if since is not None:
        query = query.where(windows.c.at >= since)
    if before_id is not None:
        query = query.where(windows.c.id < before_id)
    return list(connection.execute(query))


def drop_old(connection: Connection, device_id: str, keep: int) -> int:
    """Keeps a device's newest `keep` windows; how many went."""
    mine = windows.c.device_id == device_id
    newest = sa.select(windows.c.id).where(mine).order_by(windows.c.id.desc()).offset(keep).limit(1)
    border = connection.execute(newest).scalar_one_or_none()
    if border is None:
        return 0
    return connection.execute(windows.delete().where(mine, windows.c.id <= border, windows.c.examined)).rowcount


def unexamined(connection: Connection, limit: int) -> list[Row[Any]]:
    """Windows that the drift monitor has not seen, the oldest first."""
    query = sa.select(windows).where(windows.c.examined.is_(False)).order_by(windows.c.id).limit(limit)
    return list(connection.execute(query))


def put_scores(connection: Connection, scores: Sequence[dict[str, object]]) -> None:
    """Stores what the monitor said of windows: `window_id`, `score`, `is_drifted`."""
    if scores:
        statement = windows.update().where(windows.c.id == sa.bindparam("window_id"))
        values = {"examined": True, "drift_score": sa.bindparam("score"), "drifted": sa.bindparam("is_drifted")}
        connection.execute(statement.values(**values), list(scores))


def find_baseline(connection: Connection, device_id: str, slot: str, release: str) -> Row[Any] | None:
    """A device's baseline under a release, whole or growing."""
    mine = sa.and_(baselines.c.device_id == device_id, baselines.c.slot == slot, baselines.c.release == release)
    return connection.execute(sa.select(baselines).where(mine)).first()


def put_baseline(connection: Connection, values: dict[str, object]) -> None:
    """Stores a baseline."""
    upsert(connection, baselines, values, key=["device_id", "slot", "release"])


def complete_baselines(connection: Connection, release: str, limit: int) -> list[Row[Any]]:
    """Whole baselines under a release."""
    query = sa.select(baselines).where(baselines.c.release == release, baselines.c.complete)
    return list(connection.execute(query.order_by(baselines.c.device_id, baselines.c.slot).limit(limit)))


def count_complete_baselines(connection: Connection, release: str) -> int:
    """How many whole baselines there are under a release."""
    query = sa.select(sa.func.count()).select_from(baselines)
    return int(connection.execute(query.where(baselines.c.release == release, baselines.c.complete)).scalar_one())


def find_drift_state(connection: Connection, device_id: str, slot: str) -> Row[Any] | None:
    """What the monitor last said of a device's slot."""
    mine = sa.and_(drift_states.c.device_id == device_id, drift_states.c.slot == slot)
    return connection.execute(sa.select(drift_states).where(mine)).first()


def put_drift_state(connection: Connection, values: dict[str, object]) -> None:
    """Stores what the monitor says of a device's slot."""
    upsert(connection, drift_states, values, key=["device_id", "slot"])


def drift_states_of(connection: Connection, release: str) -> list[Row[Any]]:
    """What the monitor last said of every device under a release."""
    query = sa.select(drift_states).where(drift_states.c.release == release)
    return list(connection.execute(query.order_by(drift_states.c.device_id)))


def drift_states_of_device(connection: Connection, device_id: str) -> list[Row[Any]]:
    """What the monitor last said of a device's slots."""
    return list(connection.execute(sa.select(drift_states).where(drift_states.c.device_id == device_id)))


def set_flags(connection: Connection, state: Row[Any], *, input_drifted: bool, model_drifted: bool) -> None:
    """Stores who is drifted."""
    mine = sa.and_(drift_states.c.device_id == state.device_id, drift_states.c.slot == state.slot)
    values = {"input_drifted": input_drifted, "model_drifted": model_drifted}
    connection.execute(drift_states.update().where(mine).values(**values))


def drop_states_of_removed(connection: Connection) -> None:
    """Forgets the states of devices that left the fleet."""
    removed = sa.select(devices.c.device_id).where(devices.c.removed_at.is_not(None))
    connection.execute(drift_states.delete().where(drift_states.c.device_id.in_(removed)))


def away_since(connection: Connection, limit: datetime) -> list[str]:
    """Devices that are offline and were last heard before `limit`."""
    away = sa.and_(devices.c.removed_at.is_(None), devices.c.online.is_(False), devices.c.last_seen_at < limit)
    return list(connection.execute(sa.select(devices.c.device_id).where(away)).scalars())
