"""The one door to the SQL database: SQLAlchemy Core, synchronous, callable from any thread.

    with database.transaction() as connection:   # BEGIN IMMEDIATE on SQLite; commits at the end, or rolls back
        devices.insert(connection, ...)
        after_commit(connection, lambda: changes.publish("device", device_id))

Rules: one writer at a time on SQLite (a lock in this process, `busy_timeout` between processes); what hangs on a
commit runs after it, outside the transaction, and not at all when it is rolled back.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from fleet_contract.errors import ConfigError, ConflictError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sqlalchemy.engine import Connection, Engine

BUSY_TIMEOUT_S: Final = 10.0
_HOOKS: Final = "edgeferry_after_commit"

metadata: Final = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
"""All tables of the server, each defined beside its queries."""


class Database:
    """A database by URL: `sqlite:///path` or `postgresql+psycopg://...`."""

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.engine: Engine = sa.create_engine(url, hide_parameters=True, pool_size=10, max_overflow=20)
        except (sa.exc.ArgumentError, ModuleNotFoundError) as error:
            raise ConfigError(f"database_url: {error}", hint="for instance sqlite:////var/lib/edgeferry/db") from error
        self._is_sqlite = self.engine.dialect.name == "sqlite"
        self._writer = threading.Lock()
        if self._is_sqlite:
            sa.event.listen(self.engine, "connect", _prepare_sqlite)
            sa.event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction that writes: committed at the end, rolled back on any error.

        Raises:
            StorageError: the database is locked for too long, full or gone.
            ConflictError: a row of that identity exists.
        """
        with self._one_writer(), self._connection(write=True) as connection:
            hooks: list[Callable[[], None]] = []
            connection.info[_HOOKS] = hooks
            try:
                with connection.begin():
                    yield connection
            finally:
                connection.info.pop(_HOOKS, None)
        for hook in hooks:
            hook()

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A connection that sees one consistent snapshot and writes nothing.

        Raises:
            StorageError: the database cannot be read.
        """
        with self._connection(write=False) as connection, connection.begin():
            yield connection

    @contextmanager
    def within(self, connection: Connection | None) -> Iterator[Connection]:
        """The caller's transaction where there is one, else one of its own."""
        if connection is not None:
            yield connection
            return
        with self.transaction() as own:
            yield own

    def create_all(self) -> None:
        """Makes every table at once, without migrations: for tests; a server runs `migrations.upgrade`."""
        with self.transaction() as connection:
            metadata.create_all(connection)

    def close(self) -> None:
        """Closes the pooled connections."""
        self.engine.dispose()

    @contextmanager
    def _one_writer(self) -> Iterator[None]:
        if not self._is_sqlite:
            yield
            return
        if not self._writer.acquire(timeout=BUSY_TIMEOUT_S):
            raise StorageError(f"database: another write took longer than {BUSY_TIMEOUT_S:g} s", hint="try again")
        try:
            yield
        finally:
            self._writer.release()

    @contextmanager
    def _connection(self, *, write: bool) -> Iterator[Connection]:
        try:
            with self.engine.connect() as connection:
                yield connection.execution_options(edgeferry_write=write)
        except sa.exc.IntegrityError as error:
            raise ConflictError(f"database: {error.orig}") from error
        except sa.exc.SQLAlchemyError as error:
            raise StorageError(f"database: {error}", hint="is the disk full, or the database gone?") from error


def after_commit(connection: Connection, hook: Callable[[], None]) -> None:
    """Has `hook` called once the `transaction()` that `connection` is in has been committed."""
    connection.info[_HOOKS].append(hook)


def upsert(connection: Connection, table: sa.Table, values: Mapping[str, Any], *, key: Sequence[str]) -> None:
    """Inserts the row, or updates the given columns of the row that has the same `key`."""
    statement = _insert(connection, table).values(**values)
    rest = {name: statement.excluded[name] for name in values if name not in key}
    if rest:
        connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=rest))
    else:
        connection.execute(statement.on_conflict_do_nothing(index_elements=list(key)))


def insert_new(connection: Connection, table: sa.Table, values: Mapping[str, Any], *, key: Sequence[str]) -> bool:
    """Inserts the row unless one with the same `key` exists; whether it was inserted."""
    statement = _insert(connection, table).values(**values).on_conflict_do_nothing(index_elements=list(key))
    return connection.execute(statement).rowcount == 1


def _insert(connection: Connection, table: sa.Table) -> Any:
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    return dialect.insert(table)


def _prepare_sqlite(raw: Any, record: object) -> None:
    del record
    raw.isolation_level = None  # the begin event below decides how a transaction begins, not the driver
    cursor = raw.cursor()
    for pragma in (
        f"busy_timeout={int(BUSY_TIMEOUT_S * 1000)}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    write = connection.get_execution_options().get("edgeferry_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
