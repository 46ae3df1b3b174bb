"""The director: decides nothing, but signs what was decided and keeps the signed bytes as the truth.

Rules: a device's `rev` only ever rises, also over a re-enrolment and above what the device itself has reported;
a document is stored in the transaction of the decision that it carries; the gateway hears of it after the commit.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fleet_contract.desired import DEFAULT_SLOT, Desired, SlotDesired, TelemetryPolicy
from fleet_contract.errors import NotFoundError
from fleet_contract.signing import COMMAND_TYPE, DESIRED_TYPE
from fleet_server.storage import desired as rows
from fleet_server.storage import devices as device_rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from fleet_contract.messages import Command
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.document_signer import DocumentSigner
    from fleet_server.storage.database import Database

LIFETIME: Final = timedelta(days=90)
RENEW_BEFORE: Final = timedelta(days=60)
SAMPLING_LABEL: Final = "sampling"
SAMPLING_ALLOWED: Final = "allowed"


class Director:
    """Signs desired documents and commands."""

    def __init__(
        self, database: Database, changes: Changes, signer: DocumentSigner, clock: Clock, telemetry: TelemetryPolicy
    ) -> None:
        self._database = database
        self._changes = changes
        self._signer = signer
        self._clock = clock
        self._telemetry = telemetry

    def assign(
        self, device_id: str, slot_desired: SlotDesired | None, *, connection: Connection, slot: str = DEFAULT_SLOT
    ) -> int:
        """Makes `slot_desired` what its slot should run, or empties `slot` where it is None; the new revision.

        Raises:
            NotFoundError: no such device.
        """
        name = slot_desired.slot if slot_desired else slot
        kept = tuple(each for each in self.slots(device_id, connection=connection) if each.slot != name)
        return self._issue(connection, device_id, (*kept, slot_desired) if slot_desired else kept)

    def refresh(self, device_id: str, *, connection: Connection) -> int:
        """Signs the same slots again, for a changed label or policy or a near expiry; the new revision.

        Raises:
            NotFoundError: no such device.
        """
        return self._issue(connection, device_id, self.slots(device_id, connection=connection))

    def withdraw(self, device_id: str, *, connection: Connection) -> None:
        """Takes a decommissioned device's document away; its revision is kept for a later life."""
        row = rows.find(connection, device_id)
        if row:
            rows.put(connection, device_id, rev=row.rev, expires_at=row.expires_at, slots=(), signed=None)
        self._tell(connection, device_id)

    def renew_expiring(self) -> int:
        """Signs again every document that is past a third of its life; how many. For a daily call."""
        with self._database.transaction() as connection:
            due = rows.expiring(connection, self._clock.now() + RENEW_BEFORE)
            for device_id in due:
                self.refresh(device_id, connection=connection)
        return len(due)

    def slots(self, device_id: str, *, connection: Connection) -> tuple[SlotDesired, ...]:
        """What the device's slots should run."""
        row = rows.find(connection, device_id)
        return row.slots if row else ()

    def desired_bytes(self, device_id: str) -> bytes | None:
        """The signed document to publish, None where there is none (the retained topic is then emptied)."""
        with self._database.read() as connection:
            row = rows.find(connection, device_id)
        return row.signed if row else None

    def all_desired(self) -> list[tuple[str, bytes]]:
        """Every device's signed document: what the gateway repeats to a broker that has forgotten."""
        with self._database.read() as connection:
            return rows.all_signed(connection)

    def sign_command(self, command: Command) -> bytes:
        """The bytes of the signed command."""
        return self._signer.sign(COMMAND_TYPE, command)

    def _issue(self, connection: Connection, device_id: str, slots: tuple[SlotDesired, ...]) -> int:
        device = device_rows.find(connection, device_id)
        if device is None or device.removed_at:
            raise NotFoundError(f"device {device_id}: there is none", hint="was it decommissioned?")
        stored = rows.find(connection, device_id)
        reported_rev = device.reported.desired_rev if device.reported else 0
        now = self._clock.now()
        desired = Desired(
            device_id=device_id,
            rev=max(stored.rev if stored else 0, reported_rev) + 1,
            issued_at=now,
            expires_at=now + LIFETIME,
            slots=slots,
            telemetry=self._telemetry,
            sampling_allowed=device.labels.get(SAMPLING_LABEL) == SAMPLING_ALLOWED,
        )
        self._store(connection, desired)
        return desired.rev

    def _store(self, connection: Connection, desired: Desired) -> None:
        signed = self._signer.sign(DESIRED_TYPE, desired)
        rows.put(
            connection,
            desired.device_id,
            rev=desired.rev,
            expires_at=desired.expires_at,
            slots=desired.slots,
            signed=signed,
        )
        self._tell(connection, desired.device_id)

    def _tell(self, connection: Connection, device_id: str) -> None:
        after_commit(connection, lambda: self._changes.publish("desired", device_id))
