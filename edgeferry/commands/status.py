"""`edgeferry status`: the fleet at a glance."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgeferry.output import print_json, print_table, show_time
from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token, connect

if TYPE_CHECKING:
    from fleet_contract.api import DeviceView, FleetStatus


def status(*, server: Server = DEFAULT_SERVER, token: Token = "", as_json: AsJson = False) -> None:
    """Devices, versions, rollouts, drift and alerts."""
    fleet = connect(server, token).fleet_status()
    if as_json:
        print_json(fleet)
        return
    print(_summary(fleet))
    print_table(("device", "online", "hardware", "runs", "state", "drift", "last seen"), map(_row, fleet.members))
    if fleet.rollouts:
        print_table(
            ("rollout", "release", "state", "stages"),
            [(each.id, f"{each.model} v{each.version}", each.state, _stages(each.stages)) for each in fleet.rollouts],
        )


def _summary(fleet: FleetStatus) -> str:
    models = ", ".join(f"{each.model} v{each.version} on {each.devices}" for each in fleet.models) or "no models yet"
    return (
        f"{fleet.online} of {fleet.devices} devices online; {models}; {fleet.drifted} drifted; "
        f"{fleet.open_alerts} open alerts; {fleet.open_retrain_requests} open retrain requests; broker {fleet.broker}"
    )


def _row(device: DeviceView) -> tuple[object, ...]:
    slot = device.slots[0] if device.slots else None
    active = slot.active if slot else None
    return (
        device.device_id,
        "yes" if device.online else "no",
        device.profile.hardware if device.profile else "?",
        f"{active.model} v{active.version} {active.variant}" if active else "-",
        slot.state if slot else "-",
        f"{device.drift_score:.2f}{' DRIFTED' if device.drifted else ''}",
        show_time(device.last_seen_at),
    )


def _stages(stages: tuple[object, ...]) -> str:
    return " > ".join(f"{getattr(each, 'name', '')}:{getattr(each, 'state', '')}" for each in stages)
