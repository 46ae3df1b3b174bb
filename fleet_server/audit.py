"""Who did what: an append-only log in which each entry's hash covers the entry and the hash before it.

Whoever changes, removes or reorders an entry breaks the chain from there on, and `verify` says where. The chain
does not protect against cutting off its end; export the newest hash to notice that.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import msgspec

from fleet_contract.api import AuditView
from fleet_server.storage import audit as rows
from fleet_server.storage.database import after_commit

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.engine import Connection

    from fleet_server.changes import Changes
    from fleet_server.storage.database import Database

MAX_DETAIL_CHARS = 4000


class AuditCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the chain holds; `broken_at` is the first entry that does not, 0 where all do."""

    intact: bool
    entries: int
    broken_at: int = 0


def entry_hash(previous: str, id_: int, at: datetime, entry: dict[str, str]) -> str:
    """SHA-256 over the hash before and the entry, as a JSON list so that no two entries share their bytes."""
    fields = [previous, id_, at.isoformat(), entry["actor"], entry["action"], entry["subject"], entry["detail"]]
    return hashlib.sha256(msgspec.json.encode(fields)).hexdigest()


class Audit:
    """The audit log over the database."""

    def __init__(self, database: Database, changes: Changes) -> None:
        self._database = database
        self._changes = changes

    def record(
        self,
        actor: str,
        action: str,
        subject: str,
        detail: str = "",
        *,
        at: datetime,
        connection: Connection | None = None,
    ) -> None:
        """Adds an entry, in the caller's transaction where one is given, so that deed and record stand together."""
        entry = {
            "actor": actor[:200],
            "action": action[:100],
            "subject": subject[:300],
            "detail": detail[:MAX_DETAIL_CHARS],
        }
        with self._database.within(connection) as own:
            last_id, last_hash = rows.last(own)
            id_ = last_id + 1
            rows.add(own, id_=id_, at=at, entry=entry, digest=entry_hash(last_hash, id_, at, entry))
            after_commit(own, lambda: self._changes.publish("audit", str(id_)))

    def page(self, *, before_id: int | None, limit: int) -> list[AuditView]:
        """Entries, the newest first."""
        with self._database.read() as connection:
            return [
                AuditView(
                    id=row.id,
                    at=row.at,
                    actor=row.actor,
                    action=row.action,
                    subject=row.subject,
                    detail=row.detail,
                    hash=row.hash,
                )
                for row in rows.page(connection, before_id=before_id, limit=limit)
            ]

    def verify(self) -> AuditCheck:
        """Walks the whole chain."""
        previous, count = "", 0
        with self._database.read() as connection:
            for row in rows.oldest_first(connection):
                count += 1
                entry = {name: getattr(row, name) for name in ("actor", "action", "subject", "detail")}
                if row.id != count or row.hash != entry_hash(previous, row.id, row.at, entry):
                    return AuditCheck(intact=False, entries=count, broken_at=count)
                previous = row.hash
        return AuditCheck(intact=True, entries=count)
