"""Reads what is known of a rollout's devices now, for the plan to look at."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from fleet_server.alerts import AlertKind
from fleet_server.rollout.snapshot import Observation, Rollout
from fleet_server.storage import alerts as alert_rows
from fleet_server.storage.desired import desired
from fleet_server.storage.devices import devices
from fleet_server.storage.rollouts import rollout_devices

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from fleet_contract.messages import Reported, SlotReport

UNHEALTHY_KINDS: Final = (AlertKind.MODEL_DRIFT, AlertKind.DEVICE_LOST)
"""Open alerts that count against a device which had committed. Security alerts do not: what a device refused has
changed nothing on it, and a forger must not be able to stop a rollout."""


def observe(connection: Connection, rollout: Rollout, since: datetime) -> Rollout:
    """The rollout with what is known of its devices; alerts count that were raised since the rollout was made."""
    columns = (devices.c.device_id, devices.c.online, devices.c.removed_at, devices.c.reported, desired.c.slots)
    joined = rollout_devices.join(devices, devices.c.device_id == rollout_devices.c.device_id).outerjoin(
        desired, desired.c.device_id == devices.c.device_id
    )
    query = sa.select(*columns).select_from(joined).where(rollout_devices.c.rollout_id == rollout.id)
    unhealthy = _unhealthy(connection, rollout, since)
    seen = {
        row.device_id: _observation(row, rollout.slot, unhealthy.get(row.device_id, ""))
        for row in connection.execute(query)
    }
    return replace(rollout, observations=seen)


def _observation(row: Any, slot: str, unhealthy: str) -> Observation:
    reported: Reported | None = row.reported
    asked = next((each for each in row.slots or () if each.slot == slot), None)
    return Observation(
        online=row.online,
        removed=row.removed_at is not None,
        slot=_slot_report(reported, slot),
        reported_rev=reported.desired_rev if reported else 0,
        desired_deployment=asked.deployment_id if asked else "",
        unhealthy=unhealthy,
    )


def _slot_report(reported: Reported | None, slot: str) -> SlotReport | None:
    return next((each for each in reported.slots if each.slot == slot), None) if reported else None


def _unhealthy(connection: Connection, rollout: Rollout, since: datetime) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in alert_rows.open_of_kinds(connection, UNHEALTHY_KINDS, since=since):
        about_other_release = row.model and (row.model, row.version) != (rollout.model, rollout.version)
        if not about_other_release:
            found |= dict.fromkeys(row.device_ids, f"alert {row.id}, {row.kind}: {row.summary}"[:512])
    return found
