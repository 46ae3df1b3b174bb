"""The durable state: slots, outbox, spool and what was done once."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent.slot_record import SlotRecord
from device_agent.store import MAX_SECURITY_KEYS, Store
from fleet_contract.codec import decode
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import StorageError
from fleet_contract.messages import CommandResult, Event
from fleet_contract.telemetry import decode_batch, window_dtype
from tests.fakes.contract_documents import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

MAX_BYTES = 8000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store that holds little."""
    opened = Store.open(tmp_path / "agent.sqlite", max_bytes=MAX_BYTES)
    yield opened
    opened.close()


def event(detail: str = "") -> Event:
    """An event, not numbered yet."""
    return Event(
        seq=1,
        at=NOON,
        slot="main",
        deployment_id="d",
        event="accept",
        from_state=DeploymentState.IDLE,
        to_state=DeploymentState.ACCEPTED,
        detail=detail,
    )


def windows(count: int, *, classes: int = 3) -> NDArray[np.void]:
    """Windows with `count` as their count."""
    made = np.zeros(count, window_dtype(10, classes))
    made["count"] = 7
    return made


def half_a_transaction(store: Store) -> None:
    """Writes a slot and an event, then breaks off."""
    with store.transaction():
        store.save_slot(SlotRecord(slot="main", since=NOON))
        store.outbox.add(event())
        raise RuntimeError("power cut")


def add(store: Store, *messages: Event) -> None:
    """Keeps events."""
    with store.transaction():
        for message in messages:
            store.outbox.add(message)


def test_seq_grows_over_a_restart_even_when_all_was_sent(tmp_path: Path) -> None:
    """An empty outbox does not start again at 1."""
    store = Store.open(tmp_path / "s")
    add(store, event(), event())
    with store.transaction():
        store.outbox.remove(store.outbox.oldest(10))
    store.close()
    store = Store.open(tmp_path / "s")
    add(store, event())
    assert [decode(waiting.payload, Event).seq for waiting in store.outbox.oldest(10)] == [3]
    store.close()


def test_a_transaction_that_fails_leaves_nothing(store: Store) -> None:
    """Neither the slot nor its event is there, and the next seq is the same as before."""
    with pytest.raises(RuntimeError):
        half_a_transaction(store)
    assert store.slots() == {}
    assert store.outbox.oldest(1) == []
    add(store, event())
    assert store.outbox.last_seq == 1


def test_a_slot_comes_back_as_it_was(store: Store) -> None:
    """A record survives its way through the file."""
    record = SlotRecord(slot="main", since=NOON, starts=2)
    with store.transaction():
        store.save_slot(record)
    assert store.slots() == {"main": record}


def test_telemetry_goes_before_events_when_the_store_is_full(store: Store) -> None:
    """Windows are dropped and counted; no event is lost."""
    with store.transaction():
        store.spool.add(windows(8))
    add(store, *(event("x" * 500) for _ in range(8)))
    assert store.spool.dropped > 0
    assert store.outbox.dropped == 0
    assert len(store.outbox.oldest(100)) == 8


def test_events_that_must_be_dropped_are_the_oldest_and_are_counted(store: Store, tmp_path: Path) -> None:
    """Without any telemetry left, the count of lost events tells what is missing, after a restart too."""
    add(store, *(event("x" * 500) for _ in range(30)))
    waiting = store.outbox.oldest(100)
    assert store.outbox.dropped == 30 - len(waiting) > 0
    assert waiting[-1].seq == 30
    assert store.outbox.size_bytes <= MAX_BYTES
    again = Store.open(tmp_path / "agent.sqlite", max_bytes=MAX_BYTES)
    assert again.outbox.dropped == store.outbox.dropped
    again.close()


def test_windows_are_numbered_and_leave_as_one_batch_per_layout(store: Store) -> None:
    """Windows of another model go in another message; seq goes on growing."""
    with store.transaction():
        store.spool.add(windows(2))
        store.spool.add(windows(1, classes=5))
    first = store.spool.next_batch()
    assert first is not None
    assert decode_batch(first.payload)["seq"].tolist() == [1, 2]
    with store.transaction():
        store.spool.remove(first)
    second = store.spool.next_batch()
    assert second is not None
    assert decode_batch(second.payload)["seq"].tolist() == [3]
    assert decode_batch(second.payload)["classes"].shape == (1, 5)


def test_an_unsent_batch_is_still_there(store: Store) -> None:
    """Taking a batch does not remove it."""
    with store.transaction():
        store.spool.add(windows(1))
    assert store.spool.next_batch() == store.spool.next_batch()


def test_a_command_is_claimed_once_and_forgotten_when_expired(store: Store) -> None:
    """The same id is refused until its expiry has passed anyway."""
    with store.transaction():
        assert store.claim_command("c", NOON + timedelta(minutes=1), NOON)
        assert not store.claim_command("c", NOON + timedelta(minutes=1), NOON)
        assert store.claim_command("other", NOON + timedelta(hours=2), NOON + timedelta(hours=1))
        assert store.claim_command("c", NOON + timedelta(hours=2), NOON + timedelta(hours=1))


def test_a_security_matter_is_claimed_once_and_the_list_is_bounded(store: Store) -> None:
    """Old keys make room for new ones."""
    with store.transaction():
        assert store.claim_report("first")
        assert not store.claim_report("first")
        for number in range(MAX_SECURITY_KEYS):
            store.claim_report(f"k{number}")
        assert store.claim_report("first")


def test_answers_to_commands_wait_in_the_same_order(store: Store) -> None:
    """Events and answers keep the order in which they happened."""
    with store.transaction():
        store.outbox.add(event())
        store.outbox.add_result(CommandResult(id="c", accepted=True, at=NOON))
        store.outbox.add(event())
    assert [waiting.topic.value for waiting in store.outbox.oldest(5)] == ["event", "cmd/res", "event"]


def test_state_of_a_newer_agent_is_refused(tmp_path: Path) -> None:
    """A downgrade says so instead of guessing."""
    database = sqlite3.connect(tmp_path / "s")
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StorageError, match="version 99"):
        Store.open(tmp_path / "s")


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path: Path) -> None:
    """Garbage in the state file is named, not crashed on."""
    (tmp_path / "s").write_bytes(b"garbage" * 1000)
    with pytest.raises(StorageError):
        Store.open(tmp_path / "s")
