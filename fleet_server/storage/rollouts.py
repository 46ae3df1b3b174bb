"""The tables of rollouts, their stages and their devices; a rollout is loaded and stored as one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from fleet_contract.api import RolloutCreate
from fleet_contract.deployment import TERMINAL, DeploymentError, DeploymentState
from fleet_contract.desired import SlotDesired
from fleet_contract.rollout import ROLLOUT_ENDED, RolloutState, StagePlan, StageState
from fleet_server.rollout.snapshot import Member, Policies, Return, Rollout, Stage
from fleet_server.storage.columns import Document, UtcDateTime
from fleet_server.storage.database import metadata

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy.engine import Connection, Row

rollouts = sa.Table(
    "rollouts",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(63), nullable=False, unique=True),
    sa.Column("model", sa.String(63), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("release_sha256", sa.String(64), nullable=False),
    sa.Column("slot", sa.String(63), nullable=False),
    sa.Column("state", sa.String(32), nullable=False, index=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("champion_before", sa.BigInteger, nullable=False, default=0),
    sa.Column("request", Document(RolloutCreate), nullable=False),
)

rollout_stages = sa.Table(
    "rollout_stages",
    metadata,
    sa.Column("rollout_id", sa.ForeignKey("rollouts.id"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("plan", Document(StagePlan), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("soaking_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("accepted_failures", sa.Integer, nullable=False),
)

rollout_devices = sa.Table(
    "rollout_devices",
    metadata,
    sa.Column("rollout_id", sa.ForeignKey("rollouts.id"), primary_key=True),
    sa.Column("device_id", sa.ForeignKey("devices.device_id"), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("stage", sa.Integer, nullable=False),
    sa.Column("hardware", sa.String(200), nullable=False),
    sa.Column("state", sa.String(32), nullable=False),
    sa.Column("attempt", sa.Integer, nullable=False),
    sa.Column("given", sa.Boolean, nullable=False),
    sa.Column("previous", Document(SlotDesired)),
    sa.Column("previous_known", sa.Boolean, nullable=False),
    sa.Column("variant", sa.String(63), nullable=False),
    sa.Column("error", Document(DeploymentError)),
    sa.Column("back", sa.String(16), nullable=False),
    sa.Column("return_rev", sa.BigInteger, nullable=False),
    sa.Column("progressed_at", UtcDateTime, nullable=False),
    sa.Index("ix_rollout_devices_device_id", "device_id"),
)

_STAGE_FIELDS: Final = ("plan", "state", "started_at", "soaking_at", "ended_at", "reason", "accepted_failures")
_MEMBER_FIELDS: Final = (
    "hardware", "stage", "progressed_at", "state", "attempt", "given", "previous", "previous_known", "variant",
    "error", "back", "return_rev",
)  # fmt: skip
CHUNK: Final = 500
"""Ids in one statement: databases limit parameters."""
_OPEN_MEMBER: Final = sa.and_(
    rollout_devices.c.state.not_in([state.value for state in TERMINAL]), rollouts.c.state.in_(ROLLOUT_ENDED)
)


def insert(
    connection: Connection, rollout: Rollout, *, request: RolloutCreate, created_at: datetime, created_by: str
) -> None:
    """Adds a rollout with its stages and members."""
    connection.execute(
        rollouts.insert().values(
            id=rollout.id,
            model=rollout.model,
            version=rollout.version,
            release_sha256=rollout.release_sha256,
            slot=rollout.slot,
            state=rollout.state.value,
            reason=rollout.reason,
            created_at=created_at,
            created_by=created_by,
            request=request,
        )
    )
    stages = [
        {"rollout_id": rollout.id, "position": index, **_values(stage, _STAGE_FIELDS)}
        for index, stage in enumerate(rollout.stages)
    ]
    members = [
        {"rollout_id": rollout.id, "device_id": each.device_id, "position": index, **_values(each, _MEMBER_FIELDS)}
        for index, each in enumerate(rollout.members)
    ]
    connection.execute(rollout_stages.insert(), stages)
    connection.execute(rollout_devices.insert(), members)


def find(connection: Connection, rollout_id: str) -> Row[Any] | None:
    """The row of a rollout."""
    return connection.execute(sa.select(rollouts).where(rollouts.c.id == rollout_id)).first()


def load(connection: Connection, row: Row[Any]) -> Rollout:
    """The rollout of that row with stages and members, without observations."""
    stages = connection.execute(
        sa.select(rollout_stages).where(rollout_stages.c.rollout_id == row.id).order_by(rollout_stages.c.position)
    )
    members = connection.execute(
        sa.select(rollout_devices).where(rollout_devices.c.rollout_id == row.id).order_by(rollout_devices.c.position)
    )
    request: RolloutCreate = row.request
    return Rollout(
        id=row.id,
        state=RolloutState(row.state),
        on_failure=request.on_failure,
        model=row.model,
        version=row.version,
        release_sha256=row.release_sha256,
        slot=row.slot,
        stages=tuple(_stage(each) for each in stages),
        members=tuple(_member(each) for each in members),
        policies=Policies(request.probation, request.preflight, request.download),
        reason=row.reason,
        ended_at=row.ended_at,
    )


def save(connection: Connection, before: Rollout, after: Rollout) -> None:
    """Stores what differs."""
    if (before.state, before.reason, before.ended_at) != (after.state, after.reason, after.ended_at):
        values = {"state": after.state.value, "reason": after.reason, "ended_at": after.ended_at}
        connection.execute(rollouts.update().where(rollouts.c.id == after.id).values(**values))
    for index, (old_stage, stage) in enumerate(zip(before.stages, after.stages, strict=True)):
        if stage != old_stage:
            same = sa.and_(rollout_stages.c.rollout_id == after.id, rollout_stages.c.position == index)
            connection.execute(rollout_stages.update().where(same).values(**_values(stage, _STAGE_FIELDS)))
    for old_member, member in zip(before.members, after.members, strict=True):
        if member != old_member:
            same = sa.and_(rollout_devices.c.rollout_id == after.id, rollout_devices.c.device_id == member.device_id)
            connection.execute(rollout_devices.update().where(same).values(**_values(member, _MEMBER_FIELDS)))


def set_champion_before(connection: Connection, rollout_id: str, version: int) -> None:
    """Remembers which version `champion` was on before this rollout completed."""
    connection.execute(rollouts.update().where(rollouts.c.id == rollout_id).values(champion_before=version))


def unfinished_ids(connection: Connection) -> list[str]:
    """Rollouts that have not ended, the oldest first."""
    query = sa.select(rollouts.c.id).where(rollouts.c.state.not_in(ROLLOUT_ENDED)).order_by(rollouts.c.number)
    return list(connection.execute(query).scalars())


def last_ended(connection: Connection) -> str:
    """The rollout that ended last; empty where none has."""
    query = sa.select(rollouts.c.id).where(rollouts.c.state.in_(ROLLOUT_ENDED))
    query = query.order_by(rollouts.c.ended_at.desc(), rollouts.c.number.desc()).limit(1)
    return connection.execute(query).scalar_one_or_none() or ""


def ended_with_open_devices(connection: Connection) -> list[str]:
    """Rollouts that have ended but have devices which are still to be served or followed."""
    query = sa.select(rollouts.c.id, rollouts.c.number).join_from(rollouts, rollout_devices)
    query = query.where(_OPEN_MEMBER).distinct().order_by(rollouts.c.number)
    return [row.id for row in connection.execute(query)]


def rivals(connection: Connection, slot: str, device_ids: Iterable[str]) -> dict[str, str]:
    """Devices of these that an unfinished rollout on the same slot has, with its id."""
    query = sa.select(rollout_devices.c.device_id, rollouts.c.id).join_from(rollouts, rollout_devices)
    query = query.where(rollouts.c.slot == slot, rollouts.c.state.not_in(ROLLOUT_ENDED))
    wanted = set(device_ids)
    return {row.device_id: row.id for row in connection.execute(query) if row.device_id in wanted}


def drop_late_devices(connection: Connection, slot: str, device_ids: Iterable[str]) -> None:
    """A newer rollout takes over devices that ended ones would still have served late."""
    ended = sa.select(rollouts.c.id).where(rollouts.c.slot == slot, rollouts.c.state.in_(ROLLOUT_ENDED))
    wanted = list(device_ids)
    for start in range(0, len(wanted), CHUNK):
        waiting = sa.and_(
            rollout_devices.c.rollout_id.in_(ended),
            rollout_devices.c.state == DeploymentState.QUEUED.value,
            rollout_devices.c.device_id.in_(wanted[start : start + CHUNK]),
        )
        connection.execute(rollout_devices.update().where(waiting).values(state=DeploymentState.REMOVED.value))


def page(connection: Connection, *, before_number: int | None, limit: int) -> list[Row[Any]]:
    """Rollouts, the newest first."""
    query = sa.select(rollouts).order_by(rollouts.c.number.desc()).limit(limit)
    if before_number is not None:
        query = query.where(rollouts.c.number < before_number)
    return list(connection.execute(query))


def device_page(connection: Connection, rollout_id: str, *, after_position: int, limit: int) -> list[Row[Any]]:
    """A rollout's devices in the order in which they are served."""
    mine = sa.and_(rollout_devices.c.rollout_id == rollout_id, rollout_devices.c.position > after_position)
    query = sa.select(rollout_devices).where(mine).order_by(rollout_devices.c.position).limit(limit)
    return list(connection.execute(query))


def counts(connection: Connection, rollout_id: str) -> dict[int, dict[str, int]]:
    """For each stage, how many of its devices are in each state."""
    columns = (rollout_devices.c.stage, rollout_devices.c.state)
    query = sa.select(*columns, sa.func.count().label("devices")).where(rollout_devices.c.rollout_id == rollout_id)
    found: dict[int, dict[str, int]] = {}
    for row in connection.execute(query.group_by(*columns)):
        found.setdefault(row.stage, {})[row.state] = row.devices
    return found


def stages(connection: Connection, rollout_id: str) -> list[Stage]:
    """A rollout's stages in order."""
    query = sa.select(rollout_stages).where(rollout_stages.c.rollout_id == rollout_id)
    return [_stage(row) for row in connection.execute(query.order_by(rollout_stages.c.position))]


def _values(each: Stage | Member, names: tuple[str, ...]) -> dict[str, object]:
    return {name: getattr(each, name) for name in names}


def _stage(row: Row[Any]) -> Stage:
    values = {name: getattr(row, name) for name in _STAGE_FIELDS}
    return Stage(**{**values, "state": StageState(row.state)})


def _member(row: Row[Any]) -> Member:
    values = {name: getattr(row, name) for name in _MEMBER_FIELDS}
    state, back = DeploymentState(row.state), Return(row.back)
    return Member(device_id=row.device_id, **{**values, "state": state, "back": back})
