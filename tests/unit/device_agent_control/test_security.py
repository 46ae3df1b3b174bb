"""Refusals reach the audit log once, and not without bound."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from device_agent.faults import RefusedError
from device_agent.security import MAX_REPORTS, PERIOD_S, SecurityLedger
from device_agent.store import Store
from fleet_contract.codec import decode
from fleet_contract.messages import SecurityReport
from tests.fakes.contract_documents import NOON

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FORGED = RefusedError("forged", refused="desired", code="signature")


class Bench:
    """A ledger with a clock that the test moves."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.now_s = 0.0
        self.ledger = SecurityLedger(store, lambda: NOON, lambda: self.now_s)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """An empty ledger."""
    store = Store.open(tmp_path / "agent.sqlite")
    yield Bench(store)
    store.close()


def test_the_same_thing_is_reported_once(bench: Bench) -> None:
    """A forgery that is delivered again and again is one line in the audit log."""
    assert bench.ledger.report(FORGED, evidence=b"document")
    assert not bench.ledger.report(FORGED, evidence=b"document")
    reports = [decode(waiting.payload, SecurityReport) for waiting in bench.store.outbox.oldest(9)]
    assert [(report.seq, report.refused, report.code) for report in reports] == [(1, "desired", "signature")]


def test_another_thing_is_another_report(bench: Bench) -> None:
    """Two different forgeries are two reports."""
    assert bench.ledger.report(FORGED, evidence=b"one")
    assert bench.ledger.report(FORGED, evidence=b"two")


def test_a_flood_of_forgeries_is_cut_off_for_an_hour(bench: Bench) -> None:
    """MAX_REPORTS an hour, and again in the next."""
    taken = [bench.ledger.report(FORGED, evidence=str(number).encode()) for number in range(MAX_REPORTS + 5)]
    assert sum(taken) == MAX_REPORTS
    bench.now_s = PERIOD_S
    assert bench.ledger.report(FORGED, evidence=b"next hour")
