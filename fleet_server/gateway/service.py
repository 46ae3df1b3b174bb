"""The gateway as a whole: one connection, one thread that takes in, one that sends out.

gateway = Gateway(broker, tenant="main", database=database, devices=devices, ...)
gateway.start()      # returns at once; it connects, and reconnects, by itself
gateway.stop()       # says goodbye, stores what waits, ends its threads
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_server.gateway.intake import Intake
from fleet_server.gateway.link import Link
from fleet_server.gateway.outlet import Outlet
from fleet_server.gateway.routing import Routing

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fleet_server.broker.running import RunningBroker
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.commands import Commands
    from fleet_server.devices import Devices
    from fleet_server.director import Director
    from fleet_server.gateway.link import Incoming
    from fleet_server.ingest import Ingest
    from fleet_server.settings import IngestSettings
    from fleet_server.storage.database import Database


class Gateway:
    """Between one broker and the services."""

    def __init__(
        self,
        broker: RunningBroker,
        *,
        tenant: str,
        database: Database,
        devices: Devices,
        director: Director,
        commands: Commands,
        ingest: Ingest,
        changes: Changes,
        clock: Clock,
        settings: IngestSettings,
    ) -> None:
        routing = Routing(tenant, devices, commands, ingest)
        self._intake = Intake(database, routing, self._acknowledge, settings)
        self._link = Link(
            broker,
            tenant=tenant,
            clock=clock,
            on_message=self._intake.offer,
            on_connected=self._connected,
            receive_maximum=settings.queue_messages,
        )
        self._outlet = Outlet(
            self._link, tenant=tenant, devices=devices, director=director, commands=commands, clock=clock
        )
        routing.on_birth = self._outlet.birth
        changes.listen(self._outlet.note)

    def start(self) -> None:
        """Starts the threads and begins to connect."""
        self._intake.start()
        self._outlet.start()
        self._link.start()

    def stop(self) -> None:
        """Ends: the outlet first, then what was received is stored, then the connection."""
        self._outlet.stop()
        self._intake.stop()
        self._link.stop()

    @property
    def connected(self) -> bool:
        """Whether the broker has taken us: for readiness."""
        return self._link.connected

    def counts(self) -> Mapping[str, int]:
        """Messages by what became of them, since the start: for metrics."""
        return {**self._intake.counts, "published": self._outlet.published}

    def _connected(self) -> None:
        self._outlet.everything()

    def _acknowledge(self, message: Incoming) -> None:
        self._link.acknowledge(message)
