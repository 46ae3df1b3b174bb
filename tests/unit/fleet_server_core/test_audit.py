"""The audit log: complete, chained, and telling where it was meddled with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from fleet_server.storage.audit import audit as table
from tests.fakes.server_core import open_store

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.server_core import Store


def fill(store: Store, count: int) -> None:
    """Writes `count` entries."""
    for number in range(count):
        store.audit.record("ann", "do", f"thing-{number}", at=store.clock.now())


def test_an_untouched_log_is_intact_and_newest_first(tmp_path: Path) -> None:
    """What was recorded is there, in order, with its chain."""
    with open_store(tmp_path) as store:
        fill(store, 3)
        check = store.audit.verify()
        assert (check.intact, check.entries) == (True, 3)
        assert [entry.subject for entry in store.audit.page(before_id=None, limit=2)] == ["thing-2", "thing-1"]
        assert [entry.id for entry in store.audit.page(before_id=2, limit=9)] == [1]


@pytest.mark.parametrize(
    ("how", "statement"),
    [
        ("an entry's words are changed", table.update().where(table.c.id == 2).values(detail="never mind")),
        ("an entry's time is changed", sa.text("UPDATE audit SET at = '2020-01-01 00:00:00.000000' WHERE id = 2")),
        ("an entry is removed", table.delete().where(table.c.id == 2)),
    ],
)
def test_the_chain_breaks_where_somebody_meddled(tmp_path: Path, how: str, statement: sa.Executable) -> None:
    """Verification names the first entry that does not hold."""
    with open_store(tmp_path) as store:
        fill(store, 4)
        with store.database.transaction() as connection:
            connection.execute(statement)
        check = store.audit.verify()
        assert not check.intact, how
        assert check.broken_at == 2


def test_a_deed_that_is_rolled_back_leaves_no_entry(tmp_path: Path) -> None:
    """Deed and record stand or fall together."""
    with open_store(tmp_path) as store:
        store.roll_back(
            lambda connection: store.audit.record("ann", "do", "thing", at=store.clock.now(), connection=connection)
        )
        assert store.audit.verify().entries == 0
