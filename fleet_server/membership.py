"""What operators do to a member of the fleet: deeds that touch its row, its desired document and its credentials."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleet_server.storage import credentials

if TYPE_CHECKING:
    from fleet_contract.api import DeviceView
    from fleet_server.audit import Audit
    from fleet_server.clock import Clock
    from fleet_server.devices import Devices
    from fleet_server.director import Director
    from fleet_server.storage.database import Database


class Membership:
    """Labels and decommissioning, each in one transaction with its audit entry."""

    def __init__(self, database: Database, devices: Devices, director: Director, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._devices = devices
        self._director = director
        self._audit = audit
        self._clock = clock

    def label(self, device_id: str, patch: dict[str, str], *, actor: str) -> DeviceView:
        """Changes labels and signs the desired document again, since labels allow sampling.

        Raises:
            NotFoundError: no such device.
            ContractError: a label that is too long or badly named.
        """
        with self._database.transaction() as connection:
            self._devices.label(device_id, patch, connection=connection)
            self._director.refresh(device_id, connection=connection)
            detail = msgspec.json.encode(patch).decode()
            self._audit.record(actor, "label-device", device_id, detail, at=self._clock.now(), connection=connection)
        return self._devices.get(device_id)

    def decommission(self, device_id: str, *, actor: str) -> None:
        """Takes a device out of the fleet: its token and claims are gone and its desired topic is emptied.

        Raises:
            NotFoundError: no such device.
        """
        with self._database.transaction() as connection:
            self._devices.remove(device_id, connection=connection)
            self._director.withdraw(device_id, connection=connection)
            credentials.revoke(connection, device_id)
            self._audit.record(actor, "decommission-device", device_id, at=self._clock.now(), connection=connection)
