"""From scores to verdicts: who is drifted in the fleet of each release, and which alerts and requests follow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fleet_server.alerts import AlertKind
from fleet_server.monitors.drift import alarming
from fleet_server.storage import windows as rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection, Row

    from fleet_server.alerts import Alerts
    from fleet_server.devices import Devices
    from fleet_server.monitors.drift_monitor import Examined
    from fleet_server.retrain_policy import RetrainPolicy
    from fleet_server.settings import MonitoringSettings

MAX_SCORE: Final = 1e9
KINDS: Final = {"input_drifted": AlertKind.INPUT_DRIFT, "model_drifted": AlertKind.MODEL_DRIFT}


@dataclass(frozen=True, slots=True)
class Flags:
    """What the fleet-wide procedure says of one device's slot."""

    input_drifted: bool
    model_drifted: bool


class Verdicts:
    """Keeps the drift states and acts when they change."""

    def __init__(
        self, *, devices: Devices, alerts: Alerts, policy: RetrainPolicy | None, settings: MonitoringSettings
    ) -> None:
        self._devices = devices
        self._alerts = alerts
        self._policy = policy
        self._settings = settings

    def update(self, connection: Connection, streams: Sequence[Examined]) -> set[tuple[str, str]]:
        """Takes what was examined; the (device, slot) that are drifted now, among those of the releases touched."""
        rows.drop_states_of_removed(connection)
        releases: dict[str, None] = {}
        for each in streams:
            for release in self._remember(connection, each):
                releases[release] = None
        drifted: set[tuple[str, str]] = set()
        for release in releases:
            drifted |= self._judge(connection, release)
        for each in streams:
            self._tell_device(connection, each.last.device_id)
        return drifted

    def _remember(self, connection: Connection, examined: Examined) -> list[str]:
        """Stores the stream's last p-values; the releases whose fleets have changed by it."""
        last = examined.last
        before = rows.find_drift_state(connection, last.device_id, last.slot)
        same = before is not None and before.release == last.release
        keep = self._settings.windows_looked_at
        values: dict[str, object] = {
            "device_id": last.device_id,
            "slot": last.slot,
            "release": last.release,
            "model": last.model,
            "model_version": last.model_version,
            "at": last.at,
            "input_p": _last((*_known(before, "input_p", same=same), *examined.input_p), keep),
            "model_p": _last((*_known(before, "model_p", same=same), *examined.model_p), keep),
            "score": min(MAX_SCORE, list(examined.ratios.values())[-1]),
            "input_drifted": same and before is not None and before.input_drifted,
            "model_drifted": same and before is not None and before.model_drifted,
        }
        rows.put_drift_state(connection, values)
        return [last.release] if same or before is None else [before.release, last.release]

    def _judge(self, connection: Connection, release: str) -> set[tuple[str, str]]:
        states = rows.drift_states_of(connection, release)
        inputs, outputs = self._alarming(states, "input_p"), self._alarming(states, "model_p")
        flags = [Flags(*pair) for pair in zip(inputs, outputs, strict=True)]
        for state, flag in zip(states, flags, strict=True):
            if (state.input_drifted, state.model_drifted) != (flag.input_drifted, flag.model_drifted):
                rows.set_flags(connection, state, input_drifted=flag.input_drifted, model_drifted=flag.model_drifted)
                self._tell_device(connection, state.device_id)
        for field, kind in KINDS.items():
            self._alert(connection, kind, field, list(zip(states, flags, strict=True)), release)
        return {
            (state.device_id, state.slot)
            for state, flag in zip(states, flags, strict=True)
            if flag.input_drifted or flag.model_drifted
        }

    def _alarming(self, states: Sequence[Row[Any]], field: str) -> list[bool]:
        return alarming(
            [getattr(state, field) for state in states],
            rate=self._settings.false_alarm_rate,
            needed=self._settings.windows_needed,
            false_discovery_rate=self._settings.false_discovery_rate,
        )

    def _alert(
        self, connection: Connection, kind: AlertKind, field: str, pairs: list[tuple[Row[Any], Flags]], release: str
    ) -> None:
        now_drifted = [state for state, flag in pairs if getattr(flag, field)]
        begun = [state for state in now_drifted if not getattr(state, field)]
        if not now_drifted:
            self._alerts.resolve_subject(kind, release, why="no device drifts any more", connection=connection)
        if not begun:
            return
        first, device_ids = begun[0], tuple(sorted({state.device_id for state in now_drifted}))
        worst = max(state.score for state in now_drifted)
        summary = (
            f"{len(device_ids)} of {len(pairs)} devices with {first.model} v{first.model_version} drift from their "
            f"baseline; the worst window is {worst:.1f} times its threshold"
        )
        raised = self._alerts.raise_alert(
            kind,
            release,
            summary=summary,
            model=first.model,
            version=first.model_version,
            device_ids=device_ids,
            connection=connection,
        )
        if self._policy is not None:
            self._policy.on_alert(raised.view, connection=connection)

    def _tell_device(self, connection: Connection, device_id: str) -> None:
        """The device's row shows its worst slot."""
        states = rows.drift_states_of_device(connection, device_id)
        worst = max((state.score for state in states), default=0.0)
        drifted = any(state.input_drifted or state.model_drifted for state in states)
        self._devices.set_drift(device_id, worst, drifted=drifted, connection=connection)


def _known(before: Row[Any] | None, field: str, *, same: bool) -> tuple[float, ...]:
    return tuple(getattr(before, field)) if same and before is not None else ()


def _last(p_values: tuple[float, ...], keep: int) -> tuple[float, ...]:
    return tuple(p for p in p_values[-keep:] if math.isfinite(p))
