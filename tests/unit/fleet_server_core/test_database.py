"""The database's rules: commits, hooks, one writer, times and documents."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from fleet_contract.errors import ConfigError, ConflictError, ContractError, StorageError
from fleet_server.storage import devices
from fleet_server.storage.columns import UtcDateTime
from fleet_server.storage.database import Database, after_commit, insert_new, upsert
from fleet_server.storage.users import users
from tests.fakes.server_core import START, open_store

if TYPE_CHECKING:
    from pathlib import Path


def test_a_hook_runs_after_the_commit_and_never_after_a_rollback(tmp_path: Path) -> None:
    """What hangs on a commit waits for it."""
    with open_store(tmp_path) as store:
        seen: list[str] = []
        with store.database.transaction() as connection:
            after_commit(connection, lambda: seen.append("kept"))
            assert seen == []
        store.roll_back(lambda connection: after_commit(connection, lambda: seen.append("lost")))
        assert seen == ["kept"]


def test_many_threads_that_write_at_once_all_get_through(tmp_path: Path) -> None:
    """Writers queue; none meets a locked database."""
    with open_store(tmp_path) as store:

        def write(number: int) -> None:
            for turn in range(5):
                with store.database.transaction() as connection:
                    devices.insert(connection, f"d-{number}-{turn}", START)

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with store.database.read() as connection:
            assert len(devices.members(connection)) == 40


def test_sqlite_is_durable_and_checks_foreign_keys(tmp_path: Path) -> None:
    """The pragmas that the design relies on are set on every connection."""
    with open_store(tmp_path) as store, store.database.read() as connection:
        found = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_times_come_back_aware_in_utc_and_naive_ones_are_refused(tmp_path: Path) -> None:
    """A time means one moment, whatever zone it was written in."""
    east = datetime(2026, 1, 1, 3, tzinfo=timezone(timedelta(hours=3)))
    column = UtcDateTime()
    with open_store(tmp_path) as store:
        with store.database.transaction() as connection:
            devices.insert(connection, "d", east)
        with store.database.read() as connection:
            row = devices.find(connection, "d")
        assert row is not None
        assert row.created_at == datetime(2026, 1, 1, tzinfo=UTC)
        with pytest.raises(ValueError, match="without a zone"):
            column.process_bind_param(datetime(2026, 1, 1), store.database.engine.dialect)  # noqa: DTZ001 -- the case


def test_a_document_that_rotted_is_a_contract_error(tmp_path: Path) -> None:
    """Bytes that do not fit their type are never handed on."""
    with open_store(tmp_path) as store:
        with store.database.transaction() as connection:
            devices.insert(connection, "d", START)
            connection.execute(sa.text("UPDATE devices SET labels = x'7b7b'"))
        with pytest.raises(ContractError), store.database.read() as connection:
            devices.find(connection, "d")


def test_upsert_and_insert_new_keep_one_row(tmp_path: Path) -> None:
    """The same key twice is one row, changed or left alone."""
    row = {"name": "ann", "role": "viewer", "token_sha256": "a", "created_at": START}
    with open_store(tmp_path) as store, store.database.transaction() as connection:
        assert insert_new(connection, users, row, key=["name"])
        assert not insert_new(connection, users, row | {"role": "admin"}, key=["name"])
        upsert(connection, users, row | {"role": "deployer"}, key=["name"])
        assert connection.execute(sa.select(users.c.role)).scalars().all() == ["deployer"]


def test_foreign_errors_become_ours(tmp_path: Path) -> None:
    """A caller meets only the families of the contract."""
    with open_store(tmp_path) as store:
        with pytest.raises(StorageError), store.database.read() as connection:
            connection.execute(sa.text("SELECT * FROM nowhere"))
        twice = devices.devices.insert().values([{"device_id": "d", "created_at": START, "labels": {}}] * 2)
        with pytest.raises(ConflictError), store.database.transaction() as connection:
            connection.execute(twice)
    with pytest.raises(ConfigError):
        Database("no url at all")
