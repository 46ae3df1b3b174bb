"""The fleet's members: what they are, what they say of themselves, and their history.

Rules for what devices send, so that duplicates and reordering change nothing:
- an event is upserted by (device, seq);
- a `reported` whose seq is lower than one already taken is stale and ignored;
- a will (or a goodbye) counts only for the session last born; a birth of the session before that is an old copy;
- a device that the server does not know (its database was lost) is taken up again; a decommissioned one never is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fleet_contract.api import DeviceEventView, DeviceView
from fleet_contract.errors import ContractError, NotFoundError
from fleet_contract.messages import Reported
from fleet_contract.names import parse_name
from fleet_server.storage import desired as desired_rows
from fleet_server.storage import devices as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.device_profile import DeviceProfile
    from fleet_contract.messages import DeviceStatus, Event, SecurityReport
    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.storage.database import Database

    OnSecurity = Callable[[str, SecurityReport], None]
    """(device id, report), called after the report is in the audit log."""

MAX_LABELS = 64
MAX_LABEL_CHARS = 200


class Devices:
    """The service over the devices' tables. `on_security` may be set once an alerter exists."""

    def __init__(self, database: Database, changes: Changes, audit: Audit, clock: Clock) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self.on_security: OnSecurity | None = None

    def get(self, device_id: str, *, connection: Connection | None = None) -> DeviceView:
        """One device.

        Raises:
            NotFoundError: there is none of that id, or it was decommissioned.
        """
        if connection is None:
            with self._database.read() as own:
                return self.get(device_id, connection=own)
        desired = desired_rows.find(connection, device_id)
        return _view(self._member(connection, device_id), desired.rev if desired else 0)

    def page(
        self, *, labels: dict[str, str] | None = None, after: str = "", limit: int | None = None
    ) -> list[DeviceView]:
        """Devices by id, after `after`, that carry all of `labels`."""
        with self._database.read() as connection:
            revisions = desired_rows.revisions(connection)
            found = rows.members(connection, after=after, limit=None if labels else limit)
        wanted = (labels or {}).items()
        views = [_view(row, revisions.get(row.device_id, 0)) for row in found if wanted <= row.labels.items()]
        return views[:limit]

    def removed_ids(self) -> list[str]:
        """The decommissioned devices, whose retained topics must be empty."""
        with self._database.read() as connection:
            return rows.removed_ids(connection)

    def events(self, device_id: str, *, before_seq: int | None = None, limit: int = 100) -> list[DeviceEventView]:
        """A device's history, the newest first."""
        with self._database.read() as connection:
            self._member(connection, device_id)
            found = rows.events(connection, device_id, before_seq=before_seq, limit=limit)
        return [_event_view(device_id, event) for event in found]

    def register(
        self, device_id: str, labels: dict[str, str], profile: DeviceProfile, *, connection: Connection
    ) -> None:
        """Takes up a device that enrols, afresh when it was here before."""
        rows.insert(connection, device_id, self._clock.now())
        rows.forget_history(connection, device_id)
        rows.update(
            connection,
            device_id,
            removed_at=None,
            labels=labels,
            profile=profile,
            online=False,
            session_id="",
            previous_session_id="",
            reported_seq=-1,
            reported=None,
            drift_score=0.0,
            drifted=False,
        )
        self._tell(connection, device_id)

    def label(self, device_id: str, patch: dict[str, str], *, connection: Connection) -> dict[str, str]:
        """Changes labels, removes those with an empty value, and returns what there is now.

        Raises:
            NotFoundError: no such device.
            ContractError: too many labels, or one too long.
        """
        labels = {**self._member(connection, device_id).labels, **patch}
        labels = {key: value for key, value in labels.items() if value}
        check_labels(labels)
        rows.update(connection, device_id, labels=labels)
        self._tell(connection, device_id)
        return labels

    def set_drift(self, device_id: str, score: float, *, drifted: bool, connection: Connection) -> None:
        """Stores what the drift monitor last said of a device."""
        rows.update(connection, device_id, drift_score=score, drifted=drifted)
        self._tell(connection, device_id)

    def remove(self, device_id: str, *, connection: Connection) -> None:
        """Decommissions a device; its credentials and its desired document are the caller's to revoke.

        Raises:
            NotFoundError: no such device.
        """
        self._member(connection, device_id)
        rows.update(connection, device_id, removed_at=self._clock.now(), online=False)
        self._tell(connection, device_id)

    def take_status(self, device_id: str, status: DeviceStatus, *, connection: Connection | None = None) -> bool:
        """Takes a birth, a goodbye or a will; whether it counted."""
        with self._database.within(connection) as own:
            row = self._sender(own, device_id)
            if row is None or _is_old_session(row, status):
                return False
            values: dict[str, object] = {"online": status.online}
            if status.online:
                values["last_seen_at"] = self._clock.now()
                if status.session_id != row.session_id:
                    values |= {"session_id": status.session_id, "previous_session_id": row.session_id}
            rows.update(own, device_id, **values)
            self._tell(own, device_id)
            return True

    def take_profile(self, device_id: str, profile: DeviceProfile, *, connection: Connection | None = None) -> bool:
        """Takes a device's profile; whether it counted."""
        with self._database.within(connection) as own:
            if self._sender(own, device_id) is None:
                return False
            profile = msgspec.structs.replace(profile, device_id=device_id)
            rows.update(own, device_id, profile=profile, last_seen_at=self._clock.now())
            self._tell(own, device_id)
            return True

    def take_reported(self, device_id: str, reported: Reported, *, connection: Connection | None = None) -> bool:
        """Takes a device's full state; False when it is stale."""
        with self._database.within(connection) as own:
            row = self._sender(own, device_id)
            if row is None or reported.seq < row.reported_seq:
                return False
            now = self._clock.now()
            rows.update(own, device_id, reported=reported, reported_seq=reported.seq, last_seen_at=now)
            self._tell(own, device_id)
            return True

    def take_event(self, device_id: str, event: Event, *, connection: Connection | None = None) -> bool:
        """Takes one line of a device's history; whether it counted."""
        with self._database.within(connection) as own:
            if self._sender(own, device_id) is None:
                return False
            rows.put_event(own, device_id, event)
            rows.update(own, device_id, last_seen_at=self._clock.now())
            self._tell(own, device_id)
            return True

    def take_security(self, device_id: str, report: SecurityReport, *, connection: Connection | None = None) -> bool:
        """Takes a security report into the audit log, once, and raises the alarm; whether it was new."""
        with self._database.within(connection) as own:
            if self._sender(own, device_id) is None or not rows.put_security_report(own, device_id, report):
                return False
            detail = f"{report.code}: {report.detail}"
            self._audit.record(
                f"device:{device_id}",
                f"refuse-{report.refused}",
                device_id,
                detail,
                at=self._clock.now(),
                connection=own,
            )
            if self.on_security:
                alarm = self.on_security
                after_commit(own, lambda: alarm(device_id, report))
            return True

    def touch(self, device_id: str, *, connection: Connection | None = None) -> bool:
        """Notes that a device was heard, for instance by its telemetry; whether it is a member."""
        with self._database.within(connection) as own:
            if self._sender(own, device_id) is None:
                return False
            rows.update(own, device_id, last_seen_at=self._clock.now())
            return True

    def _sender(self, connection: Connection, device_id: str) -> Row[Any] | None:
        """The row of a device that sends; None once it is decommissioned."""
        row = rows.find(connection, device_id)
        if row is None:
            rows.insert(connection, parse_name(device_id, "device id"), self._clock.now())
            row = rows.find(connection, device_id)
        return None if row is None or row.removed_at else row

    def _member(self, connection: Connection, device_id: str) -> Row[Any]:
        row = rows.find(connection, device_id)
        if row is None or row.removed_at:
            raise NotFoundError(f"device {device_id}: there is none", hint="`edgeferry device list` shows the fleet")
        return row

    def _tell(self, connection: Connection, device_id: str) -> None:
        after_commit(connection, lambda: self._changes.publish("device", device_id))


def check_labels(labels: dict[str, str]) -> None:
    """Passes when labels are few, short and well-named.

    Raises:
        ContractError: they are not.
    """
    if len(labels) > MAX_LABELS:
        raise ContractError.mismatch("labels", got=f"{len(labels)} labels", expected=f"at most {MAX_LABELS}")
    for key, value in labels.items():
        parse_name(key, "label")
        if len(value) > MAX_LABEL_CHARS:
            raise ContractError.mismatch(f"label {key}", got=f"{len(value)} characters", expected=MAX_LABEL_CHARS)


def _is_old_session(row: Row[Any], status: DeviceStatus) -> bool:
    if status.online:
        return bool(status.session_id) and status.session_id == row.previous_session_id
    return bool(status.session_id != row.session_id)


def _view(row: Row[Any], desired_rev: int) -> DeviceView:
    reported: Reported | None = row.reported
    return DeviceView(
        device_id=row.device_id,
        online=row.online,
        last_seen_at=row.last_seen_at,
        labels=row.labels,
        profile=row.profile,
        desired_rev=desired_rev,
        reported_rev=reported.desired_rev if reported else 0,
        slots=reported.slots if reported else (),
        agent_rss_mb=reported.agent_rss_mb if reported else 0.0,
        host_rss_mb=reported.host_rss_mb if reported else 0.0,
        drift_score=row.drift_score,
        drifted=row.drifted,
    )


def _event_view(device_id: str, event: Event) -> DeviceEventView:
    known = set(DeviceEventView.__struct_fields__)
    fields = {name: value for name, value in msgspec.structs.asdict(event).items() if name in known}
    return DeviceEventView(device_id=device_id, **fields)
