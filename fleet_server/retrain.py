"""Retrain requests: opened by people or by the policy, leased by workers, one at a time and never for ever.

COLLECTING > OPEN > LEASED > DONE | FAILED        any of the first three > CANCELED
              ^--------'  a lease that expires opens the request again, `max_lease_failures` times
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from fleet_contract.api import RetrainState, RetrainView
from fleet_contract.errors import ConflictError, ContractError, NotFoundError
from fleet_server.identifiers import random_id
from fleet_server.storage import retrain as rows
from fleet_server.storage import samples as sample_rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_contract.api import LeaseRenew, LeaseRequest, RetrainResult
    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.identifiers import IdSource
    from fleet_server.settings import RetrainSettings
    from fleet_server.storage.database import Database

S = RetrainState
SYSTEM: Final = "retrain-policy"
ENDED: Final = frozenset({S.DONE, S.FAILED, S.CANCELED})


class RetrainRequests:
    """The service over the requests' table."""

    def __init__(
        self,
        database: Database,
        *,
        changes: Changes,
        audit: Audit,
        clock: Clock,
        settings: RetrainSettings,
        new_id: IdSource = random_id,
    ) -> None:
        self._database = database
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._settings = settings
        self._new_id = new_id

    def add(
        self,
        model: str,
        *,
        reason: str,
        actor: str,
        state: RetrainState,
        device_ids: tuple[str, ...] = (),
        alert_id: int = 0,
        base_version: int = 0,
        connection: Connection,
    ) -> RetrainView:
        """Adds a request for a model that has none yet.

        Raises:
            ConflictError: a request of the model has not ended.
        """
        live = rows.live_of_model(connection, model)
        if live is not None:
            raise ConflictError(
                f"retrain request {live.id} of {model} is {live.state}", hint="wait for it or cancel it"
            )
        now, request_id = self._clock.now(), self._new_id("t")
        values: dict[str, object] = {
            "id": request_id,
            "model": model,
            "reason": reason[:2000],
            "state": state.value,
            "created_at": now,
            "created_by": actor,
            "alert_id": alert_id,
            "base_version": base_version,
            "device_ids": device_ids,
        }
        rows.insert(connection, values)
        self._note(connection, actor, "create-retrain", request_id, f"{model}: {reason}")
        return self._view(connection, request_id)

    def widen(self, request_id: str, device_ids: tuple[str, ...], *, actor: str, connection: Connection) -> RetrainView:
        """Adds devices to a request that collects.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: it is not collecting.
        """
        row = self._expect(connection, request_id, S.COLLECTING)
        rows.update(connection, request_id, device_ids=(*row.device_ids, *device_ids))
        self._note(connection, actor, "widen-retrain", request_id, ", ".join(device_ids))
        return self._view(connection, request_id)

    def open(self, request_id: str, *, actor: str) -> RetrainView:
        """Lets workers take a request that still collects.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: it is not collecting.
        """
        with self._database.transaction() as connection:
            self._expect(connection, request_id, S.COLLECTING)
            rows.update(connection, request_id, state=S.OPEN.value)
            self._note(connection, actor, "open-retrain", request_id)
            return self._view(connection, request_id)

    def open_if_labelled(self, request_id: str, *, connection: Connection) -> None:
        """Opens a request that collects, once enough of its samples are labelled."""
        row = rows.find(connection, request_id)
        if row is None or row.state != S.COLLECTING:
            return
        _, labelled = sample_rows.counts(connection, request_id)
        if labelled >= self._settings.min_labelled:
            rows.update(connection, request_id, state=S.OPEN.value)
            self._note(connection, SYSTEM, "open-retrain", request_id, f"{labelled} samples are labelled")

    def cancel(self, request_id: str, *, actor: str) -> RetrainView:
        """Ends a request without a result; a worker that has it hears of it when it renews.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: it has ended already.
        """
        with self._database.transaction() as connection:
            self._expect(connection, request_id, S.COLLECTING, S.OPEN, S.LEASED)
            self._end(connection, request_id, S.CANCELED, detail=f"canceled by {actor}")
            self._note(connection, actor, "cancel-retrain", request_id)
            return self._view(connection, request_id)

    def lease(self, request: LeaseRequest, *, actor: str) -> RetrainView | None:
        """The oldest open request, leased to `request.owner`; None when there is none.

        Raises:
            ContractError: the owner has no name.
        """
        if not request.owner or len(request.owner) > 200:
            raise ContractError.mismatch("owner", got=request.owner[:210], expected="1 to 200 characters")
        with self._database.transaction() as connection:
            self._reopen_expired(connection)
            row = rows.oldest_open(connection, request.models)
            if row is None:
                return None
            self._grant(connection, row.id, request.owner, request.lease_s)
            self._note(connection, actor, "lease-retrain", row.id, f"to {request.owner}")
            return self._view(connection, row.id)

    def renew(self, request_id: str, request: LeaseRenew) -> RetrainView:
        """Extends a lease.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: the lease is another's, has expired, or the request was canceled.
        """
        with self._database.transaction() as connection:
            self._expect_lease(connection, request_id, request.owner)
            self._grant(connection, request_id, request.owner, request.lease_s)
            return self._view(connection, request_id)

    def finish(self, request_id: str, result: RetrainResult, *, actor: str) -> RetrainView:
        """Takes the result of a leased request. The same result again is answered as before.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: the lease is another's or has expired.
            ContractError: neither failed nor a version.
        """
        if not result.failed and result.version < 1:
            raise ContractError.mismatch("version", got=result.version, expected="the version made, or failed")
        with self._database.transaction() as connection:
            row = self._row(connection, request_id)
            if row.state in (S.DONE, S.FAILED) and row.lease_owner == result.owner:
                return self._view(connection, request_id)
            self._expect_lease(connection, request_id, result.owner)
            self._end(
                connection,
                request_id,
                S.FAILED if result.failed else S.DONE,
                detail=result.detail[:2000],
                result_version=result.version,
                rollout_id=result.rollout_id,
            )
            words = "failed" if result.failed else f"made version {result.version}"
            self._note(connection, actor, "finish-retrain", request_id, words)
            return self._view(connection, request_id)

    def expire_leases(self) -> None:
        """Opens again what workers have lost. For a call now and then."""
        with self._database.transaction() as connection:
            self._reopen_expired(connection)

    def get(self, request_id: str, *, connection: Connection | None = None) -> RetrainView:
        """One request.

        Raises:
            NotFoundError: there is none of that id.
        """
        if connection is not None:
            return self._view(connection, request_id)
        with self._database.read() as own:
            return self._view(own, request_id)

    def page(self, *, before_number: int | None = None, limit: int = 100) -> list[tuple[int, RetrainView]]:
        """(number, request), the newest first."""
        with self._database.read() as connection:
            found = rows.page(connection, before_number=before_number, limit=limit)
            return [(row.number, _view(connection, row)) for row in found]

    def open_count(self) -> int:
        """How many requests have not ended."""
        with self._database.read() as connection:
            return rows.count_live(connection)

    def _reopen_expired(self, connection: Connection) -> None:
        for row in rows.expired_leases(connection, self._clock.now()):
            failures = row.lease_failures + 1
            if failures >= self._settings.max_lease_failures:
                detail = f"{failures} workers took it and were not heard again"
                self._end(connection, row.id, S.FAILED, detail=detail, lease_failures=failures)
                self._note(connection, SYSTEM, "fail-retrain", row.id, detail)
                continue
            values = {"state": S.OPEN.value, "lease_owner": "", "lease_expires_at": None, "lease_failures": failures}
            rows.update(connection, row.id, **values)
            self._note(connection, SYSTEM, "expire-lease", row.id, f"of {row.lease_owner}")

    def _grant(self, connection: Connection, request_id: str, owner: str, lease_s: float) -> None:
        expires_at = self._clock.now() + timedelta(seconds=lease_s)
        rows.update(connection, request_id, state=S.LEASED.value, lease_owner=owner, lease_expires_at=expires_at)

    def _end(self, connection: Connection, request_id: str, state: RetrainState, **values: object) -> None:
        now: datetime = self._clock.now()
        rows.update(connection, request_id, state=state.value, ended_at=now, lease_expires_at=None, **values)

    def _expect(self, connection: Connection, request_id: str, *states: RetrainState) -> Row[Any]:
        row = self._row(connection, request_id)
        if row.state not in states:
            expected = ", ".join(states)
            raise ConflictError(f"retrain request {request_id}: it is {row.state}, expected {expected}")
        return row

    def _expect_lease(self, connection: Connection, request_id: str, owner: str) -> None:
        row = self._expect(connection, request_id, S.LEASED)
        if row.lease_owner != owner:
            raise ConflictError(f"retrain request {request_id}: the lease is {row.lease_owner}'s, not {owner}'s")
        if row.lease_expires_at <= self._clock.now():
            raise ConflictError(
                f"retrain request {request_id}: the lease has expired", hint="lease again; another may have it"
            )

    def _row(self, connection: Connection, request_id: str) -> Row[Any]:
        row = rows.find(connection, request_id)
        if row is None:
            raise NotFoundError(f"retrain request {request_id}: there is none", hint="`edgeferry retrain list`")
        return row

    def _view(self, connection: Connection, request_id: str) -> RetrainView:
        return _view(connection, self._row(connection, request_id))

    def _note(self, connection: Connection, actor: str, action: str, request_id: str, detail: str = "") -> None:
        self._audit.record(actor, action, request_id, detail, at=self._clock.now(), connection=connection)
        after_commit(connection, lambda: self._changes.publish("retrain", request_id))


def _view(connection: Connection, row: Row[Any]) -> RetrainView:
    stored, labelled = sample_rows.counts(connection, row.id)
    return RetrainView(
        id=row.id,
        model=row.model,
        reason=row.reason,
        state=RetrainState(row.state),
        created_at=row.created_at,
        alert_id=row.alert_id,
        base_version=row.base_version,
        device_ids=row.device_ids,
        sample_count=stored,
        labelled_count=labelled,
        lease_owner=row.lease_owner,
        lease_expires_at=row.lease_expires_at,
        result_version=row.result_version,
        rollout_id=row.rollout_id,
        detail=row.detail,
    )
