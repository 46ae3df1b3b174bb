"""What people do with rollouts: create, approve, pause, resume, abort, roll back, look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.api import RolloutCreate, RolloutDeviceView, RolloutView
from fleet_contract.errors import ConflictError, NotFoundError
from fleet_contract.rollout import DEFAULT_STAGES, RolloutEvent, RolloutState, rollout_transition
from fleet_server.identifiers import random_id
from fleet_server.rollout.actions import MoveRollout, moved_rollout
from fleet_server.rollout.membership import Candidate, check_stages, stage_members
from fleet_server.rollout.observing import observe
from fleet_server.rollout.plan import accept_failures
from fleet_server.rollout.snapshot import Member, Rollout, Stage
from fleet_server.rollout.views import device_view, rollout_view
from fleet_server.storage import devices as device_rows
from fleet_server.storage import rollouts as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.identifiers import IdSource
    from fleet_server.registry import Registry
    from fleet_server.storage.database import Database

HARDWARE: Final = "hardware"
UNKNOWN_HARDWARE: Final = "unknown"


class Rollouts:
    """The service over the rollouts' tables; the engine does the rest."""

    def __init__(
        self,
        database: Database,
        *,
        registry: Registry,
        changes: Changes,
        audit: Audit,
        clock: Clock,
        new_id: IdSource = random_id,
    ) -> None:
        self._database = database
        self._registry = registry
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._new_id = new_id

    def create(self, request: RolloutCreate, *, actor: str) -> RolloutView:
        """Creates a rollout over the devices that fit the selector now; the engine begins it, or an approval does.

        Raises:
            NotFoundError: no such release, or no device fits the selector.
            ContractError: the stages make no sense.
            ConflictError: an unfinished rollout has one of the devices in the same slot.
        """
        stages = request.stages or DEFAULT_STAGES
        check_stages(stages)
        with self._database.transaction() as connection:
            release = self._registry.get(request.model, request.version, connection=connection)
            candidates = _candidates(connection, request.selector)
            now, rollout_id = self._clock.now(), self._new_id("r")
            members = tuple(
                Member(each.device_id, each.hardware, stage, progressed_at=now)
                for each, stage in stage_members(rollout_id, candidates, stages)
            )
            _check_rivals(connection, request.slot, [member.device_id for member in members])
            rollout = Rollout(
                id=rollout_id,
                state=_first_state(approval=request.approval),
                on_failure=request.on_failure,
                model=request.model,
                version=request.version,
                release_sha256=release.release_sha256,
                slot=request.slot,
                stages=tuple(Stage(plan) for plan in stages),
                members=members,
            )
            self._insert(connection, rollout, request, now, actor)
            return self._view(connection, rollout_id)

    def move(self, rollout_id: str, event: RolloutEvent, *, actor: str) -> RolloutView:
        """Does to a rollout what a person asks: approve, pause, resume, abort, roll back.

        Whoever resumes accepts the failures for which a gate had paused it.

        Raises:
            NotFoundError: there is none of that id.
            ConflictError: its state does not allow it.
        """
        with self._database.transaction() as connection:
            row = self._row(connection, rollout_id)
            before = rows.load(connection, row)
            now, reason = self._clock.now(), f"{event} by {actor}"
            after = moved_rollout(before, MoveRollout(event, reason), now)
            if after is before:
                raise ConflictError(f"rollout {rollout_id} is {before.state}: {event} is not possible now")
            if event is RolloutEvent.RESUME:
                after = accept_failures(observe(connection, after, row.created_at))
            rows.save(connection, before, after)
            self._audit.record(actor, f"rollout-{event}", rollout_id, at=now, connection=connection)
            after_commit(connection, lambda: self._changes.publish("rollout", rollout_id))
            return self._view(connection, rollout_id)

    def get(self, rollout_id: str) -> RolloutView:
        """One rollout.

        Raises:
            NotFoundError: there is none of that id.
        """
        with self._database.read() as connection:
            return self._view(connection, rollout_id)

    def page(self, *, before_number: int | None = None, limit: int = 100) -> list[tuple[int, RolloutView]]:
        """(number, rollout), the newest first."""
        with self._database.read() as connection:
            found = rows.page(connection, before_number=before_number, limit=limit)
            return [(row.number, rollout_view(connection, row)) for row in found]

    def current(self) -> list[RolloutView]:
        """Those that have not ended, and the last one that has, for the fleet's status."""
        with self._database.read() as connection:
            found = rows.unfinished_ids(connection)
            last = rows.last_ended(connection)
            return [self._view(connection, each) for each in (*found, *([last] if last else []))]

    def devices(
        self, rollout_id: str, *, after_position: int = -1, limit: int = 100
    ) -> list[tuple[int, RolloutDeviceView]]:
        """(position, device) of a rollout, in the order in which they are served.

        Raises:
            NotFoundError: there is none of that id.
        """
        with self._database.read() as connection:
            self._row(connection, rollout_id)
            names = [stage.plan.name for stage in rows.stages(connection, rollout_id)]
            found = rows.device_page(connection, rollout_id, after_position=after_position, limit=limit)
            return [(row.position, device_view(row, names)) for row in found]

    def _insert(
        self, connection: Connection, rollout: Rollout, request: RolloutCreate, now: datetime, actor: str
    ) -> None:
        rows.drop_late_devices(connection, rollout.slot, [member.device_id for member in rollout.members])
        rows.insert(connection, rollout, request=request, created_at=now, created_by=actor)
        detail = f"{rollout.model} v{rollout.version} to {len(rollout.members)} devices in {len(rollout.stages)} stages"
        self._audit.record(actor, "create-rollout", rollout.id, detail, at=now, connection=connection)
        after_commit(connection, lambda: self._changes.publish("rollout", rollout.id))

    def _view(self, connection: Connection, rollout_id: str) -> RolloutView:
        return rollout_view(connection, self._row(connection, rollout_id))

    def _row(self, connection: Connection, rollout_id: str) -> Row[Any]:
        row = rows.find(connection, rollout_id)
        if row is None:
            raise NotFoundError(f"rollout {rollout_id}: there is none", hint="`edgeferry rollout list` shows them")
        return row


def _first_state(*, approval: bool) -> RolloutState:
    event = RolloutEvent.SUBMIT_FOR_APPROVAL if approval else RolloutEvent.SUBMIT
    return rollout_transition(RolloutState.DRAFT, event)


def _candidates(connection: Connection, selector: dict[str, str]) -> list[Candidate]:
    """The members of the fleet that fit: every key is a label, or `hardware`."""
    found: list[Candidate] = []
    for row in device_rows.members(connection):
        hardware = row.profile.hardware if row.profile else UNKNOWN_HARDWARE
        facts = {**row.labels, HARDWARE: hardware}
        if selector.items() <= facts.items():
            found.append(Candidate(row.device_id, hardware, row.online))
    if not found:
        words = ", ".join(f"{key}={value}" for key, value in selector.items()) or "any"
        raise NotFoundError(f"rollout: no device fits the selector ({words})", hint="`edgeferry device list`")
    return found


def _check_rivals(connection: Connection, slot: str, device_ids: list[str]) -> None:
    rivals = rows.rivals(connection, slot, device_ids)
    if rivals:
        device_id, rollout_id = next(iter(rivals.items()))
        raise ConflictError(
            f"rollout: {len(rivals)} devices, {device_id} among them, are in rollout {rollout_id} on slot {slot}",
            hint=f"wait for it, or `edgeferry rollout abort {rollout_id}`",
        )
