"""The shell that carries rollouts out: load, observe, decide, apply, store and sign, in one transaction a rollout.

    engine = RolloutEngine(database, director=director, registry=registry, alerts=alerts, ...)
    engine.step_all()          # one look at everything; the same from any state in which a killed server left it
    await engine.run(changes)  # a look on every change and at least every `tick_s`, until canceled

All that a decision changes is committed together, so a kill between two steps repeats nothing and loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import EdgeferryError, StorageError
from fleet_contract.rollout import RolloutEvent, RolloutState
from fleet_server.alerts import AlertKind
from fleet_server.registry import CHAMPION
from fleet_server.rollout import documents
from fleet_server.rollout.actions import Action, Give, MoveRollout, MoveStage, TakeBack, Withdraw, apply
from fleet_server.rollout.observing import observe
from fleet_server.rollout.plan import decide
from fleet_server.storage import releases as release_rows
from fleet_server.storage import rollouts as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from sqlalchemy.engine import Connection, Row

    from fleet_server.alerts import Alerts
    from fleet_server.audit import Audit
    from fleet_server.changes import Changes
    from fleet_server.clock import Clock
    from fleet_server.director import Director
    from fleet_server.registry import Registry
    from fleet_server.rollout.snapshot import Member, Rollout
    from fleet_server.settings import RolloutSettings
    from fleet_server.storage.database import Database

log = logging.getLogger(__name__)

ACTOR: Final = "rollout-engine"
MAX_ROUNDS: Final = 1000
"""Of decide and apply in one step: far more than a rollout can need, so that a flaw cannot hang the engine."""
ENDED_EVERY: Final = 10
MIN_PAUSE_S: Final = 0.02
WAKING: Final = frozenset({"device", "rollout", "alert"})


class RolloutEngine:
    """Drives every rollout."""

    def __init__(
        self,
        database: Database,
        *,
        director: Director,
        registry: Registry,
        alerts: Alerts,
        changes: Changes,
        audit: Audit,
        clock: Clock,
        settings: RolloutSettings,
    ) -> None:
        self._database = database
        self._director = director
        self._registry = registry
        self._alerts = alerts
        self._changes = changes
        self._audit = audit
        self._clock = clock
        self._settings = settings

    async def run(self) -> None:
        """Looks at every rollout on each change and at least every `tick_s`, until canceled."""
        turn = 0
        async with self._changes.subscribe() as news:
            while True:
                await asyncio.to_thread(self._look, ended_too=turn % ENDED_EVERY == 0)
                turn += 1
                await self._wait(news)

    async def _wait(self, news: Any) -> None:
        """Until something changed that may matter, or the tick is over; never less than MIN_PAUSE_S."""
        loop = asyncio.get_running_loop()
        end_s = loop.time() + self._settings.tick_s
        await asyncio.sleep(MIN_PAUSE_S)
        while loop.time() < end_s:
            taken = await news.take(end_s - loop.time())
            if any(change.kind in WAKING for change in taken):
                return

    def _look(self, *, ended_too: bool) -> None:
        try:
            self.step_all(ended_too=ended_too)
        except StorageError as error:
            log.error("rollout-engine storage problem=%s", error.message)  # noqa: TRY400 -- the next tick tries again

    def step_all(self, *, ended_too: bool = True) -> None:
        """One step of every rollout that has something to do; a rollout that fails to step stops no other.

        Raises:
            StorageError: the list of rollouts cannot be read.
        """
        with self._database.read() as connection:
            ids = rows.unfinished_ids(connection)
            if ended_too:
                ids += rows.ended_with_open_devices(connection)
        for rollout_id in ids:
            try:
                self.step(rollout_id)
            except EdgeferryError as error:
                log.exception("rollout-step-failed id=%s problem=%s", rollout_id, error.message)

    def step(self, rollout_id: str) -> None:
        """Decides and does, until nothing is left to do at this moment."""
        with self._database.transaction() as connection:
            row = rows.find(connection, rollout_id)
            if row is None:
                return
            before = rows.load(connection, row)
            after = self._advance(connection, observe(connection, before, row.created_at), row)
            rows.save(connection, before, after)
            if replace(after, observations={}) != before:
                after_commit(connection, lambda: self._changes.publish("rollout", rollout_id))

    def _advance(self, connection: Connection, rollout: Rollout, row: Row[Any]) -> Rollout:
        now = self._clock.now()
        for _ in range(MAX_ROUNDS):
            actions = decide(rollout, now)
            if not actions:
                return rollout
            before = rollout
            rollout = self._sign(connection, before, apply(before, actions, now), actions)
            for action in actions:
                self._record(connection, rollout, action, row)
        log.error("rollout-never-settles id=%s", rollout.id)
        return rollout

    def _sign(self, connection: Connection, before: Rollout, after: Rollout, actions: Sequence[Action]) -> Rollout:
        """Issues the desired documents that the actions ask for and remembers what devices ran before."""
        members = {member.device_id: member for member in after.members}
        for action in actions:
            if isinstance(action, Give | Withdraw | TakeBack):
                member = members[action.device_id]
                members[action.device_id] = self._issue(connection, before, member, action)
        return replace(after, members=tuple(members.values()))

    def _issue(
        self, connection: Connection, before: Rollout, member: Member, action: Give | Withdraw | TakeBack
    ) -> Member:
        device_id = member.device_id
        if isinstance(action, Give):
            slots = self._director.slots(device_id, connection=connection)
            asked = next((each for each in slots if each.slot == before.slot), None)
            member = documents.remember(before, member, before.seen(device_id).slot, asked)
            wanted = documents.forward(before, member)
        else:
            wanted_back = documents.backward(before, member)
            if wanted_back is None:
                rev = self._director.assign(device_id, None, connection=connection, slot=before.slot)
                return replace(member, return_rev=rev)
            wanted = wanted_back
        return replace(member, return_rev=self._director.assign(device_id, wanted, connection=connection))

    def _record(self, connection: Connection, rollout: Rollout, action: Action, row: Row[Any]) -> None:
        """Audits stages and rollouts that moved, and does what hangs on their moving."""
        now = self._clock.now()
        if isinstance(action, MoveStage):
            subject = f"{rollout.id}/{rollout.stages[action.index].plan.name}"
            self._audit.record(ACTOR, f"stage-{action.event}", subject, action.reason, at=now, connection=connection)
        if not isinstance(action, MoveRollout):
            return
        self._audit.record(ACTOR, f"rollout-{action.event}", rollout.id, action.reason, at=now, connection=connection)
        if action.event in (RolloutEvent.PAUSE, RolloutEvent.ABORT, RolloutEvent.ROLL_BACK):
            self._alarm(connection, rollout, action.reason)
        elif rollout.state is RolloutState.COMPLETED:
            self._crown(connection, rollout)
        elif rollout.state is RolloutState.ROLLED_BACK and row.champion_before:
            self._restore_champion(connection, rollout, row.champion_before)

    def _alarm(self, connection: Connection, rollout: Rollout, reason: str) -> None:
        failed = tuple(member.device_id for member in rollout.members if member.error is not None)
        self._alerts.raise_alert(
            AlertKind.ROLLOUT_FAILED,
            rollout.id,
            model=rollout.model,
            version=rollout.version,
            device_ids=failed,
            summary=f"rollout {rollout.id} of {rollout.model} v{rollout.version} is {rollout.state}: {reason}",
            connection=connection,
        )

    def _crown(self, connection: Connection, rollout: Rollout) -> None:
        """The release that reached the whole fleet is the champion now."""
        before = release_rows.version_of_alias(connection, rollout.model, CHAMPION) or 0
        if before != rollout.version:
            rows.set_champion_before(connection, rollout.id, before)
            self._registry.set_alias(rollout.model, CHAMPION, rollout.version, actor=ACTOR, connection=connection)

    def _restore_champion(self, connection: Connection, rollout: Rollout, version: int) -> None:
        if release_rows.version_of_alias(connection, rollout.model, CHAMPION) == rollout.version:
            self._registry.set_alias(rollout.model, CHAMPION, version, actor=ACTOR, connection=connection)
