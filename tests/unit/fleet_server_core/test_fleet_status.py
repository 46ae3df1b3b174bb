"""The fleet status: rebuilt after changes that it shows, the same bytes otherwise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.api import DeviceView, FleetStatus
from fleet_contract.codec import decode
from fleet_contract.deployment import DeploymentState
from fleet_contract.messages import InstalledRelease, SlotReport
from fleet_server import fleet_status
from fleet_server.devices import Devices
from fleet_server.fleet_status import FleetStatusBoard, Sources, count_models
from tests.fakes.contract_documents import profile
from tests.fakes.server_core import START, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server_core import Store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh database."""
    with open_store(tmp_path) as opened:
        yield opened


def test_it_is_built_once_until_something_it_shows_changes(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers share one encoding; an audit entry does not disturb it, a device does."""
    monkeypatch.setattr(fleet_status, "REST_FACTOR", 0.0)
    devices = Devices(store.database, store.changes, store.audit, store.clock)
    sources = Sources(devices, list, lambda: 2, lambda: 1, lambda: "embedded")
    board = FleetStatusBoard(sources, store.changes, store.clock)
    first = board.snapshot()
    assert board.snapshot() is first
    store.audit.record("ann", "look", "around", at=START)
    assert board.snapshot() is first
    with store.database.transaction() as connection:
        devices.register("pi-1", {}, profile(device_id="pi-1"), connection=connection)
    second = board.snapshot()
    assert second.etag != first.etag
    status = decode(second.body, FleetStatus)
    assert (status.devices, status.online, status.open_alerts, status.open_retrain_requests) == (1, 0, 2, 1)
    assert [member.device_id for member in status.members] == ["pi-1"]


def test_models_are_counted_by_what_is_active() -> None:
    """A device counts for the version that it runs, not for the one that it is getting."""

    def running(name: str, version: int | None) -> DeviceView:
        active = None
        if version:
            active = InstalledRelease(model="digits", version=version, variant="tflite-int8", release_sha256="0" * 64)
        slot = SlotReport(
            slot="main",
            deployment_id="d",
            state=DeploymentState.PROBATION,
            since=START,
            target_version=9,
            active=active,
        )
        return DeviceView(device_id=name, online=True, slots=(slot,))

    found = count_models([running("a", 1), running("b", 2), running("c", 2), running("d", None)])
    assert [(each.version, each.devices) for each in found] == [(1, 1), (2, 2)]
