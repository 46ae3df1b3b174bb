"""Alerts: raised once while open, resolved by a person or by the cause going away, told to log and webhook.

alert = alerts.raise_alert(AlertKind.MODEL_DRIFT, "digits/3", model="digits", version=3, device_ids=("pi-1",),
                           summary="...", connection=connection)
alert.new            # False when it joined an open alert of the same kind and subject
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Protocol

from fleet_contract.api import AlertView
from fleet_contract.errors import ConflictError, NotFoundError
from fleet_server.storage import alerts as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.messages import SecurityReport
    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.storage.database import Database

log = logging.getLogger(__name__)

MAX_DEVICE_IDS: Final = 1000


class AlertKind(StrEnum):
    """What alerts are about."""

    INPUT_DRIFT = "input-drift"
    MODEL_DRIFT = "model-drift"
    ROLLOUT_FAILED = "rollout-failed"
    SECURITY = "security"
    DEVICE_LOST = "device-lost"


SEVERITY: Final[dict[AlertKind, str]] = {
    AlertKind.INPUT_DRIFT: "info",
    AlertKind.MODEL_DRIFT: "warning",
    AlertKind.ROLLOUT_FAILED: "critical",
    AlertKind.SECURITY: "critical",
    AlertKind.DEVICE_LOST: "warning",
}


class Teller(Protocol):
    """Tells new alerts to the world outside."""

    def tell(self, alert: AlertView) -> None:
        """Takes an alert and returns at once."""
        ...


@dataclass(frozen=True, slots=True)
class Raised:
    """An alert as it now stands, and whether this was its beginning."""

    view: AlertView
    new: bool


class Alerts:
    """The service over the alerts' table."""

    def __init__(
        self, database: Database, *, changes: Changes, audit: Audit, clock: Clock, teller: Teller | None = None
    ) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._teller = teller

    def raise_alert(
        self,
        kind: AlertKind,
        subject: str,
        *,
        summary: str,
        model: str = "",
        version: int = 0,
        device_ids: tuple[str, ...] = (),
        connection: Connection | None = None,
    ) -> Raised:
        """Raises an alert of `kind` about `subject`, or adds the devices to the one that is open."""
        with self._database.within(connection) as own:
            key = f"{kind}/{subject}"
            row = rows.find_open(own, key)
            if row is not None:
                return self._extend(own, row, device_ids, summary)
            values = {
                "key": key,
                "at": self._clock.now(),
                "kind": kind.value,
                "severity": SEVERITY[kind],
                "model": model,
                "version": version,
                "device_ids": device_ids[:MAX_DEVICE_IDS],
                "summary": summary,
            }
            view = _view_of(own, rows.insert(own, values))
            after_commit(own, lambda: self._announce(view))
            return Raised(view, new=True)

    def resolve(self, alert_id: int, *, actor: str) -> AlertView:
        """Closes an alert.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: it is closed already.
        """
        with self._database.transaction() as connection:
            view = _view_of(connection, alert_id)
            if view.resolved_at is not None:
                raise ConflictError(f"alert {alert_id}: resolved already, at {view.resolved_at:%Y-%m-%d %H:%M} UTC")
            self._close(connection, alert_id, actor)
            return _view_of(connection, alert_id)

    def resolve_subject(self, kind: AlertKind, subject: str, *, why: str, connection: Connection) -> None:
        """Closes the open alert of `kind` about `subject`, where there is one, since its cause is gone."""
        row = rows.find_open(connection, f"{kind}/{subject}")
        if row is not None:
            self._close(connection, row.id, "monitor", why)

    def page(self, *, open_only: bool = False, before_id: int | None = None, limit: int = 100) -> list[AlertView]:
        """Alerts, the newest first."""
        with self._database.read() as connection:
            found = rows.page(connection, open_only=open_only, before_id=before_id, limit=limit)
        return [_view(row) for row in found]

    def open_count(self) -> int:
        """How many alerts are open."""
        with self._database.read() as connection:
            return rows.count_open(connection)

    def on_security(self, device_id: str, report: SecurityReport) -> None:
        """Raises the alarm over what a device refused; the audit log has it already."""
        self.raise_alert(
            AlertKind.SECURITY,
            device_id,
            device_ids=(device_id,),
            summary=f"{device_id} refused a {report.refused}: {report.code}: {report.detail}"[:1000],
        )

    def _extend(self, connection: Connection, row: Row[Any], device_ids: tuple[str, ...], summary: str) -> Raised:
        merged = tuple(dict.fromkeys((*row.device_ids, *device_ids)))[:MAX_DEVICE_IDS]
        if merged != row.device_ids:
            rows.update(connection, row.id, device_ids=merged, summary=summary)
            alert_id = str(row.id)
            after_commit(connection, lambda: self._changes.publish("alert", alert_id))
        return Raised(_view_of(connection, row.id), new=False)

    def _close(self, connection: Connection, alert_id: int, actor: str, why: str = "") -> None:
        now = self._clock.now()
        rows.update(connection, alert_id, resolved_at=now)
        self._audit.record(actor, "resolve-alert", str(alert_id), why, at=now, connection=connection)
        after_commit(connection, lambda: self._changes.publish("alert", str(alert_id)))

    def _announce(self, view: AlertView) -> None:
        log.warning(
            "alert id=%d kind=%s severity=%s model=%s version=%d devices=%d summary=%r",
            view.id,
            view.kind,
            view.severity,
            view.model,
            view.version,
            len(view.device_ids),
            view.summary,
        )
        self._changes.publish("alert", str(view.id))
        if self._teller is not None:
            self._teller.tell(view)


def _view_of(connection: Connection, alert_id: int) -> AlertView:
    row = rows.find(connection, alert_id)
    if row is None:
        raise NotFoundError(f"alert {alert_id}: there is none", hint="`edgeferry alert list` shows them")
    return _view(row)


def _view(row: Row[Any]) -> AlertView:
    return AlertView(
        id=row.id,
        at=row.at,
        kind=row.kind,
        severity=row.severity,
        model=row.model,
        version=row.version,
        device_ids=row.device_ids,
        summary=row.summary,
        resolved_at=row.resolved_at,
    )
