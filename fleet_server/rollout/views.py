"""Rollouts as the REST API shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.api import RolloutDeviceView, RolloutView, StageView
from fleet_contract.deployment import DeploymentState
from fleet_contract.rollout import RolloutState
from fleet_server.storage import rollouts as rows

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_server.rollout.snapshot import Stage


def rollout_view(connection: Connection, row: Row[Any]) -> RolloutView:
    """The rollout of a row, with its stages and their counts."""
    counts = rows.counts(connection, row.id)
    stages = rows.stages(connection, row.id)
    return RolloutView(
        id=row.id,
        model=row.model,
        version=row.version,
        slot=row.slot,
        state=RolloutState(row.state),
        reason=row.reason,
        created_at=row.created_at,
        created_by=row.created_by,
        ended_at=row.ended_at,
        stages=tuple(_stage_view(stage, counts.get(index, {})) for index, stage in enumerate(stages)),
    )


def device_view(row: Row[Any], stage_names: list[str]) -> RolloutDeviceView:
    """One device of a rollout."""
    return RolloutDeviceView(
        device_id=row.device_id,
        stage=stage_names[row.stage],
        state=DeploymentState(row.state),
        variant=row.variant,
        updated_at=row.progressed_at,
        error=row.error,
    )


def _stage_view(stage: Stage, counts: dict[str, int]) -> StageView:
    return StageView(
        name=stage.plan.name,
        state=stage.state,
        plan=stage.plan,
        device_count=sum(counts.values()),
        counts=dict(sorted(counts.items())),
        started_at=stage.started_at,
        ended_at=stage.ended_at,
        reason=stage.reason,
    )
