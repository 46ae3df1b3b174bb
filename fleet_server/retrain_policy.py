"""When drift becomes a retrain request, and how samples for one are asked of devices.

Rules: one live request a model, which devices that begin to drift later join while it collects; a cool-down between
those that the policy opens and a cap a day over all models; model drift asks, input drift only where the settings say
so. Only devices whose label allows sampling are asked.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from fleet_contract.api import CommandCreate, RetrainState
from fleet_contract.errors import NotFoundError
from fleet_contract.messages import CommandName
from fleet_server.alerts import AlertKind
from fleet_server.director import SAMPLING_ALLOWED, SAMPLING_LABEL
from fleet_server.registry import CHAMPION
from fleet_server.retrain import SYSTEM
from fleet_server.storage import releases as release_rows
from fleet_server.storage import retrain as rows

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from fleet_contract.api import AlertView, RetrainCreate, RetrainView
    from fleet_server.clock import Clock
    from fleet_server.commands import Commands
    from fleet_server.devices import Devices
    from fleet_server.retrain import RetrainRequests
    from fleet_server.settings import RetrainSettings
    from fleet_server.storage.database import Database

log = logging.getLogger(__name__)


class RetrainPolicy:
    """Opens requests and has devices collect for them."""

    def __init__(
        self,
        database: Database,
        *,
        requests: RetrainRequests,
        commands: Commands,
        devices: Devices,
        clock: Clock,
        settings: RetrainSettings,
    ) -> None:
        self._database = database
        self._requests = requests
        self._commands = commands
        self._devices = devices
        self._clock = clock
        self._settings = settings

    def create(self, request: RetrainCreate, *, actor: str) -> RetrainView:
        """A request by hand: OPEN at once without devices, else COLLECTING from those that allow it.

        Raises:
            NotFoundError: the model has no release, or a device does not exist.
            ConflictError: a request of the model has not ended.
        """
        with self._database.transaction() as connection:
            champion = release_rows.version_of_alias(connection, request.model, CHAMPION)
            base = champion or rows.newest_release(connection, request.model)
            if base is None:
                raise NotFoundError(f"model {request.model}: it has no release", hint="`edgeferry release list`")
            for device_id in request.device_ids:
                self._devices.get(device_id, connection=connection)
            state = RetrainState.COLLECTING if request.device_ids else RetrainState.OPEN
            view = self._requests.add(
                request.model,
                reason=request.reason,
                actor=actor,
                state=state,
                device_ids=request.device_ids,
                base_version=base,
                connection=connection,
            )
            self._collect(connection, view.id, view.device_ids, actor)
            return view

    def on_alert(self, alert: AlertView, *, connection: Connection) -> RetrainView | None:
        """Opens a request for an alert, or widens the one that collects for it; None where the policy does neither."""
        live = rows.live_of_model(connection, alert.model)
        if live is not None and live.alert_id == alert.id and live.state == RetrainState.COLLECTING:
            return self._widen(connection, live.id, live.device_ids, alert)
        obstacle = self._obstacle(alert, connection)
        if obstacle:
            log.info("retrain-not-opened alert=%d reason=%s", alert.id, obstacle)
            return None
        view = self._requests.add(
            alert.model,
            reason=f"{alert.kind}: {alert.summary}",
            actor=SYSTEM,
            state=RetrainState.COLLECTING,
            device_ids=alert.device_ids,
            alert_id=alert.id,
            base_version=alert.version,
            connection=connection,
        )
        self._collect(connection, view.id, view.device_ids, SYSTEM)
        return view

    def _widen(
        self, connection: Connection, request_id: str, known: tuple[str, ...], alert: AlertView
    ) -> RetrainView | None:
        """Asks the devices that began to drift after the request was opened, too."""
        added = tuple(device_id for device_id in alert.device_ids if device_id not in known)
        if not added:
            return None
        view = self._requests.widen(request_id, added, actor=SYSTEM, connection=connection)
        self._collect(connection, request_id, added, SYSTEM)
        return view

    def _obstacle(self, alert: AlertView, connection: Connection) -> str:
        """Why the policy opens nothing; empty where it does."""
        wanted = {
            AlertKind.MODEL_DRIFT.value: self._settings.on_model_drift,
            AlertKind.INPUT_DRIFT.value: self._settings.on_input_drift,
        }
        if not wanted.get(alert.kind):
            return f"the policy does not act on {alert.kind}"
        if not alert.model:
            return "the alert names no model"
        if rows.live_of_model(connection, alert.model) is not None:
            return "a request of the model has not ended"
        now = self._clock.now()
        last = rows.last_by_policy(connection, alert.model, SYSTEM)
        if last is not None and now - last.created_at < timedelta(seconds=self._settings.cool_down_s):
            return "the cool-down is not over"
        if rows.count_since(connection, SYSTEM, now - timedelta(days=1)) >= self._settings.max_per_day:
            return "the cap a day is reached"
        return ""

    def _collect(self, connection: Connection, request_id: str, device_ids: tuple[str, ...], actor: str) -> None:
        command = CommandCreate(
            name=CommandName.COLLECT,
            max_samples=self._settings.collect_max_samples,
            max_bytes=self._settings.collect_max_bytes,
            duration_s=self._settings.collect_duration_s,
            request_id=request_id,
            ttl_s=self._settings.collect_ttl_s,
        )
        for device_id in device_ids:
            device = self._devices.get(device_id, connection=connection)
            if device.labels.get(SAMPLING_LABEL) == SAMPLING_ALLOWED:
                self._commands.create(device_id, command, actor=actor, connection=connection)
