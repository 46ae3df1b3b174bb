"""Devices that have been away for too long, and that come back."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from fleet_server.alerts import AlertKind
from fleet_server.storage import alerts as alert_rows
from fleet_server.storage import windows as window_rows

if TYPE_CHECKING:
    from fleet_server.alerts import Alerts
    from fleet_server.clock import Clock
    from fleet_server.settings import MonitoringSettings
    from fleet_server.storage.database import Database


class Presence:
    """Raises and resolves `device-lost`."""

    def __init__(self, database: Database, *, alerts: Alerts, clock: Clock, settings: MonitoringSettings) -> None:
        self._database = database
        self._alerts = alerts
        self._clock = clock
        self._settings = settings

    def check(self) -> None:
        """Raises an alert for each device newly lost, resolves those of devices that are back or left the fleet."""
        limit = self._clock.now() - timedelta(seconds=self._settings.device_lost_after_s)
        with self._database.read() as connection:
            lost = set(window_rows.away_since(connection, limit))
            known = {row.device_ids[0] for row in alert_rows.open_of_kinds(connection, [AlertKind.DEVICE_LOST])}
        if lost == known:
            return
        with self._database.transaction() as connection:
            for device_id in sorted(known - lost):
                self._alerts.resolve_subject(
                    AlertKind.DEVICE_LOST, device_id, why="it is not lost any more", connection=connection
                )
            for device_id in sorted(lost - known):
                hours = self._settings.device_lost_after_s / 3600.0
                self._alerts.raise_alert(
                    AlertKind.DEVICE_LOST,
                    device_id,
                    device_ids=(device_id,),
                    summary=f"{device_id} has not been heard for {hours:.1f} hours",
                    connection=connection,
                )
