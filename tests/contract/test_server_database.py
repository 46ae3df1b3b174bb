"""Migrations and code agree on the schema, on every kind of database that is at hand."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import alembic.migration
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata

from fleet_contract.errors import StorageError
from fleet_server.migrations.upgrade import newest_revision, upgrade
from fleet_server.storage import tables
from fleet_server.storage.database import Database, metadata

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

assert tables.MODULES
POSTGRESQL = os.environ.get("EDGEFERRY_TEST_POSTGRESQL", "")
"""URL of an empty database, for instance `postgresql+psycopg://...`; without one only SQLite is tested."""


@pytest.fixture(params=["sqlite", *(["postgresql"] if POSTGRESQL else [])])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """An empty database."""
    opened = Database(POSTGRESQL if request.param == "postgresql" else f"sqlite:///{tmp_path / 'db'}")
    yield opened
    opened.close()


def test_migrations_make_exactly_the_tables_that_the_code_uses(database: Database) -> None:
    """No table, column, type or index differs, and running them again changes nothing."""
    upgrade(database)
    upgrade(database)
    with database.read() as connection:
        context = alembic.migration.MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
        assert context.get_current_revision() == newest_revision()


def test_a_database_of_a_newer_server_is_left_alone(database: Database) -> None:
    """An unknown revision stops the start, with what to do."""
    upgrade(database)
    with database.transaction() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="migrate") as caught:
        upgrade(database)
    assert "newer" in caught.value.hint


def test_a_failed_migration_leaves_nothing_behind(database: Database) -> None:
    """All steps commit together or not at all."""
    with database.transaction() as connection:
        connection.execute(sa.text("CREATE TABLE users (wrong INTEGER)"))
        connection.execute(sa.text("CREATE INDEX ix_claims_device_id ON users (wrong)"))
    with pytest.raises(StorageError):
        upgrade(database)
    with database.read() as connection:
        assert sa.inspect(connection).get_table_names() == ["users"]
