"""What devices say, and what duplicates, reordering and old sessions may not change."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import ContractError, NotFoundError
from fleet_contract.messages import DeviceStatus, Event, Reported, SecurityReport
from fleet_server.devices import Devices
from tests.fakes.contract_documents import profile
from tests.fakes.server_core import START, open_store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server_core import Store

ID = "pi-1"


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A fresh database."""
    with open_store(tmp_path) as opened:
        yield opened


@pytest.fixture
def devices(store: Store) -> Devices:
    """The service with one enrolled device."""
    service = Devices(store.database, store.changes, store.audit, store.clock)
    register(store, service)
    return service


def register(store: Store, service: Devices) -> None:
    """Enrols the device (again)."""
    with store.database.transaction() as connection:
        service.register(ID, {"site": "lab"}, profile(device_id=ID), connection=connection)


def born(session: str) -> DeviceStatus:
    """A birth."""
    return DeviceStatus(session_id=session, online=True, at=START)


def will(session: str) -> DeviceStatus:
    """A will."""
    return DeviceStatus(session_id=session, online=False)


def event(seq: int, name: str = "accept") -> Event:
    """A transition."""
    return Event(
        seq=seq,
        at=START,
        slot="main",
        deployment_id="d",
        event=name,
        from_state=DeploymentState.IDLE,
        to_state=DeploymentState.ACCEPTED,
    )


@pytest.mark.parametrize(
    ("story", "messages", "online"),
    [
        ("it connects", [born("a")], True),
        ("it connects and its connection breaks", [born("a"), will("a")], False),
        ("the will of its old session comes late", [born("a"), born("b"), will("a")], True),
        ("a copy of its old birth comes late", [born("a"), born("b"), will("b"), born("a")], False),
        ("it connects again under the same session", [born("a"), will("a"), born("a")], True),
        ("a will comes of a session that was never born", [will("x")], False),
    ],
)
def test_only_the_session_last_born_decides(
    devices: Devices,
    story: str,
    messages: list[DeviceStatus],
    online: bool,  # noqa: FBT001 -- a table's column
) -> None:
    """Late wills and births of old sessions change nothing."""
    for message in messages:
        devices.take_status(ID, message)
    assert devices.get(ID).online is online, story


def test_a_stale_report_is_ignored_and_a_repeated_one_is_harmless(devices: Devices) -> None:
    """A `reported` with a lower seq than one already taken changes nothing."""
    assert devices.take_reported(ID, Reported(seq=5, at=START, desired_rev=3))
    assert devices.take_reported(ID, Reported(seq=5, at=START, desired_rev=3))
    assert not devices.take_reported(ID, Reported(seq=4, at=START, desired_rev=2))
    assert devices.get(ID).reported_rev == 3


def test_events_in_any_order_and_twice_give_one_history(devices: Devices) -> None:
    """Events are upserted by (device, seq)."""
    for seq in (2, 1, 3, 2, 1):
        devices.take_event(ID, event(seq))
    assert [each.seq for each in devices.events(ID)] == [3, 2, 1]
    assert [each.seq for each in devices.events(ID, before_seq=3, limit=1)] == [2]


def test_a_security_report_is_audited_once_and_raises_the_alarm(devices: Devices, store: Store) -> None:
    """A refusal reaches the log and the alerter, its duplicate neither."""
    alarms: list[tuple[str, str]] = []
    devices.on_security = lambda device_id, report: alarms.append((device_id, report.code))
    report = SecurityReport(seq=9, at=START, refused="blob", code="blob-hash", detail="not what was signed")
    assert devices.take_security(ID, report)
    assert not devices.take_security(ID, report)
    assert alarms == [(ID, "blob-hash")]
    assert [entry.action for entry in store.audit.page(before_id=None, limit=9)] == ["refuse-blob"]


def test_a_decommissioned_device_is_heard_no_more(devices: Devices, store: Store) -> None:
    """Whatever it still sends changes nothing, and it is gone from every view."""
    with store.database.transaction() as connection:
        devices.remove(ID, connection=connection)
    assert not devices.take_status(ID, born("a"))
    assert not devices.take_reported(ID, Reported(seq=9, at=START, desired_rev=1))
    assert not devices.take_event(ID, event(1))
    assert not devices.touch(ID)
    assert devices.page() == []
    assert devices.removed_ids() == [ID]
    with pytest.raises(NotFoundError):
        devices.get(ID)


def test_a_device_that_enrols_again_counts_from_the_start(devices: Devices, store: Store) -> None:
    """The sequence of its earlier life does not make its new reports stale."""
    devices.take_reported(ID, Reported(seq=100, at=START, desired_rev=9))
    devices.take_event(ID, event(100))
    register(store, devices)
    assert devices.take_reported(ID, Reported(seq=1, at=START, desired_rev=0))
    assert devices.events(ID) == []


def test_an_unknown_device_is_taken_up_from_its_report_alone(devices: Devices) -> None:
    """A server that lost its database rebuilds its view from what is retained."""
    assert devices.take_reported("pi-2", Reported(seq=3, at=START, desired_rev=7))
    assert devices.take_profile("pi-2", profile(device_id="somebody-else", hardware="jetson"))
    view = devices.get("pi-2")
    assert view.reported_rev == 7
    assert view.profile is not None
    assert view.profile.device_id == "pi-2"


def test_labels_change_one_by_one_and_select_devices(devices: Devices, store: Store) -> None:
    """An empty value removes a label; a selector takes only who carries it."""
    with store.database.transaction() as connection:
        now = devices.label(ID, {"site": "", "team": "red"}, connection=connection)
    assert now == {"team": "red"}
    assert [device.device_id for device in devices.page(labels={"team": "red"})] == [ID]
    assert devices.page(labels={"site": "lab"}) == []
    with pytest.raises(ContractError), store.database.transaction() as connection:
        devices.label(ID, {"Team!": "red"}, connection=connection)
