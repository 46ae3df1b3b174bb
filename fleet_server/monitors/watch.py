"""What looks at the fleet every few seconds: drift, devices that are gone, leases that ran out.

watch = Watch(drift=DriftMonitor(...), presence=Presence(...), requests=requests, settings=settings)
await watch.run()     # until canceled
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from fleet_contract.errors import EdgeferryError
from fleet_server.monitors.drift_monitor import MAX_WINDOWS

if TYPE_CHECKING:
    from collections.abc import Callable

    from fleet_server.monitors.drift_monitor import DriftMonitor
    from fleet_server.monitors.presence import Presence
    from fleet_server.retrain import RetrainRequests
    from fleet_server.settings import MonitoringSettings

log = logging.getLogger(__name__)


class Watch:
    """Runs the monitors in turn."""

    def __init__(
        self, *, drift: DriftMonitor, presence: Presence, requests: RetrainRequests, settings: MonitoringSettings
    ) -> None:
        self._drift = drift
        self._presence = presence
        self._requests = requests
        self._settings = settings

    async def run(self) -> None:
        """Looks every `evaluate_every_s`, until canceled."""
        while True:
            await asyncio.to_thread(self.look)
            await asyncio.sleep(self._settings.evaluate_every_s)

    def look(self) -> None:
        """One look; a monitor that fails hinders no other and is tried again next time."""
        steps: tuple[Callable[[], object], ...] = (self._drain, self._presence.check, self._requests.expire_leases)
        for step in steps:
            try:
                step()
            except EdgeferryError as error:
                log.exception("watch-failed problem=%s", error.message)

    def _drain(self) -> None:
        while self._drift.evaluate() >= MAX_WINDOWS:
            log.info("watch-behind windows=%d", MAX_WINDOWS)
