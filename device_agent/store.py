"""The agent's durable state in one SQLite file: slots, desired document, commands, outbox and telemetry spool.

Rules: WAL with synchronous=FULL, so that what `transaction` returned from survives a power cut; a slot's new state
and the events that tell of it are one transaction; only one process writes.

    >>> import tempfile, pathlib
    >>> store = Store.open(pathlib.Path(tempfile.mkdtemp()) / "agent.sqlite")
    >>> store.meta("desired_rev", "0")
    '0'
    >>> store.close()
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from device_agent.outbox import Outbox
from device_agent.slot_record import SlotRecord
from device_agent.spool import WindowSpool
from fleet_contract.codec import decode, encode
from fleet_contract.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

SCHEMA_VERSION: Final = 1
DATABASE_FILE: Final = "agent.sqlite"
MAX_SECURITY_KEYS: Final = 256

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE slot (name TEXT PRIMARY KEY, record BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE command (id TEXT PRIMARY KEY, expires_s REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE security (key TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY, topic TEXT NOT NULL, payload BLOB NOT NULL);
CREATE TABLE window (seq INTEGER PRIMARY KEY, signals INTEGER NOT NULL, classes INTEGER NOT NULL,
                     record BLOB NOT NULL);
"""


class Store:
    """One open state file. Not shared between threads."""

    def __init__(self, database: sqlite3.Connection, max_bytes: int) -> None:
        self._database = database
        self.outbox = Outbox(database, max_bytes)
        self.spool = WindowSpool(database)

    @classmethod
    def open(cls, path: Path, *, max_bytes: int = 32 * 2**20) -> Store:
        """Opens or creates the state at `path`; what waits for the network stays below about `max_bytes`.

        Raises:
            StorageError: it cannot be opened, or was written by a newer agent.
        """
        with translated(path):
            database = sqlite3.connect(path, isolation_level=None, timeout=5.0)
            try:
                database.execute("PRAGMA journal_mode=WAL")
                database.execute("PRAGMA synchronous=FULL")
                _migrate(database, path)
                return cls(database, max_bytes)
            except BaseException:
                database.close()
                raise

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes inside are on the disk together when this ends, or none is.

        Raises:
            StorageError: the disk is full or cannot be written.
        """
        with translated("agent state"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.spool.shrink(self.outbox.excess_bytes(self.spool.size_bytes))
                self.outbox.shrink(self.spool.size_bytes)
            except BaseException:
                self._database.execute("ROLLBACK")
                self.outbox.recount()
                self.spool.recount()
                raise
            self._database.execute("COMMIT")

    def meta(self, key: str, default: str = "") -> str:
        """A small named value."""
        return self.meta_bytes(key, default.encode()).decode()

    def meta_bytes(self, key: str, default: bytes = b"") -> bytes:
        """A named value as bytes."""
        row = self._database.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return bytes(row[0]) if row else default

    def set_meta(self, key: str, value: str | bytes) -> None:
        """Keeps a named value; inside a transaction."""
        data = value.encode() if isinstance(value, str) else value
        self._database.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, data))

    def slots(self) -> dict[str, SlotRecord]:
        """Every slot's record.

        Raises:
            ContractError: a record was damaged.
        """
        rows = self._database.execute("SELECT name, record FROM slot ORDER BY name").fetchall()
        return {name: decode(bytes(record), SlotRecord) for name, record in rows}

    def save_slot(self, record: SlotRecord) -> None:
        """Keeps a slot's record; inside a transaction."""
        self._database.execute("INSERT OR REPLACE INTO slot VALUES (?, ?)", (record.slot, encode(record)))

    def claim_command(self, command_id: str, expires_at: datetime, now: datetime) -> bool:
        """Marks a command as carried out; False when it already was. Forgets those that have expired anyway."""
        self._database.execute("DELETE FROM command WHERE expires_s < ?", (now.timestamp(),))
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO command VALUES (?, ?)", (command_id, expires_at.timestamp())
        )
        return cursor.rowcount == 1

    def claim_report(self, key: str) -> bool:
        """Marks a security matter as reported; False when it already was. Keeps the newest MAX_SECURITY_KEYS."""
        cursor = self._database.execute(
            "INSERT OR IGNORE INTO security VALUES (?, (SELECT coalesce(max(seq), 0) + 1 FROM security))", (key,)
        )
        self._database.execute(
            "DELETE FROM security WHERE seq <= (SELECT max(seq) FROM security) - ?", (MAX_SECURITY_KEYS,)
        )
        return cursor.rowcount == 1


@contextmanager
def translated(what: object) -> Iterator[None]:
    """Turns SQLite's errors into ours."""
    try:
        yield
    except sqlite3.Error as error:
        raise StorageError(
            f"{what}: {error}", hint="is the disk full or read-only, or does another agent use this state folder?"
        ) from error


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise StorageError(
            f"{path}: got state of version {version}, expected at most {SCHEMA_VERSION}",
            hint="this state was written by a newer agent; install that version",
        )
    if version == 0:
        database.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version = {SCHEMA_VERSION};COMMIT;")
