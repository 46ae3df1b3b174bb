"""The drift monitor over a real database: windows in, baselines, scores, alerts and retrain requests out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.api import RetrainState
from fleet_contract.errors import ContractError
from fleet_server.settings import MonitoringSettings, RetrainSettings
from fleet_server.storage import windows as rows
from tests.fakes.server_core import MODEL
from tests.fakes.server_dynamics import Dynamics, dynamics, telemetry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

BASELINE = 16
CLASSES = 3
SETTINGS = MonitoringSettings(baseline_windows=BASELINE)
LEVEL = np.array([0.4, 0.2, 0.1, 0.9, 0.3, 0.8, -0.1, 0.5, 0.3, 0.2])


class Fleet:
    """Devices that send windows around a level of their own."""

    def __init__(self, served: Dynamics, size: int = 4) -> None:
        self.served = served
        self.sha256 = served.publish(1)
        self.rng = np.random.default_rng(1)
        self.seq = 0
        self.ids = [f"pi-{index}" for index in range(size)]
        self.levels = {each: LEVEL + 0.02 * self.rng.normal(size=LEVEL.shape) for each in self.ids}
        for each in self.ids:
            served.enrol(each, labels={"sampling": "allowed"})

    def send(self, windows: int, *, shift: dict[str, NDArray[np.float64]] | None = None, count: int = 60) -> None:
        """Every device sends that many windows; some are shifted."""
        first_seq, self.seq = self.seq + 1, self.seq + windows
        with self.served.database.transaction() as connection:
            for each in self.ids:
                noise = 0.01 * self.rng.normal(size=(windows, len(LEVEL)))
                means = self.levels[each] + noise + (shift or {}).get(each, 0.0)
                batch = telemetry(means, release_sha256=self.sha256, first_seq=first_seq, count=count)
                self.served.ingest.take_batch(each, batch, connection=connection)
        self.served.drift.evaluate()


def unit(*columns: int) -> NDArray[np.float64]:
    """A shift of some signals by 0.4."""
    shift = np.zeros(len(LEVEL))
    shift[list(columns)] = 0.4
    return shift


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """Four devices with whole baselines."""
    with dynamics(tmp_path, monitoring=SETTINGS) as served:
        made = Fleet(served)
        made.send(BASELINE)
        yield made


def test_a_healthy_fleet_raises_nothing(fleet: Fleet) -> None:
    """Windows like those of the baseline are scored and nobody is drifted."""
    for _ in range(5):
        fleet.send(3)
    assert fleet.served.alerts.page() == []
    view = fleet.served.devices.get("pi-0")
    assert 0.0 < view.drift_score < 1.0
    assert not view.drifted


def test_model_drift_raises_one_alert_and_one_request(fleet: Fleet) -> None:
    """Two drifted devices: one alert that names both, one request that collects from them, no second of either."""
    drifted = {"pi-1": unit(3, 5), "pi-2": unit(3, 5)}
    for _ in range(3):
        fleet.send(1, shift=drifted)
    (alert,) = fleet.served.alerts.page()
    assert (alert.kind, alert.model, alert.version, alert.device_ids) == ("model-drift", MODEL, 1, ("pi-1", "pi-2"))
    ((_, request),) = fleet.served.requests.page()
    assert (request.state, request.alert_id, request.device_ids) == (
        RetrainState.COLLECTING,
        alert.id,
        ("pi-1", "pi-2"),
    )
    assert sorted(command.device_id for command in fleet.served.commands.due()) == ["pi-1", "pi-2"]
    view = fleet.served.devices.get("pi-1")
    assert view.drifted
    assert view.drift_score > 1.0
    assert not fleet.served.devices.get("pi-0").drifted
    newest = fleet.served.ingest.page(device_id="pi-1", limit=1)[0][1]
    assert newest.drifted
    assert newest.drift_score > 1.0


def test_a_device_that_drifts_later_joins_the_request(fleet: Fleet) -> None:
    """While samples are still collected, one more drifted device is asked, and those asked before are not again."""
    for _ in range(3):
        fleet.send(1, shift={"pi-1": unit(3, 5)})
    for _ in range(3):
        fleet.send(1, shift={"pi-1": unit(3, 5), "pi-2": unit(3, 5)})
    ((_, request),) = fleet.served.requests.page()
    assert request.device_ids == ("pi-1", "pi-2")
    assert [command.device_id for command in fleet.served.commands.due()] == ["pi-1", "pi-2"]


def test_input_drift_alone_asks_for_no_retraining(fleet: Fleet) -> None:
    """Moved inputs with unmoved outputs are an alert for people, not a retrain request."""
    for _ in range(3):
        fleet.send(1, shift={"pi-1": unit(0)})
    assert [alert.kind for alert in fleet.served.alerts.page()] == ["input-drift"]
    assert fleet.served.requests.page() == []


def test_one_odd_window_is_not_drift(fleet: Fleet) -> None:
    """A single unusual window among normal ones alarms nobody."""
    fleet.send(2)
    fleet.send(1, shift={"pi-1": unit(3, 5)})
    fleet.send(2)
    assert fleet.served.alerts.page() == []


def test_the_alert_closes_when_the_drift_ends(fleet: Fleet) -> None:
    """Once the last windows are normal again, the device is not drifted and its alert is resolved."""
    fleet.send(3, shift={"pi-1": unit(3, 5)})
    fleet.send(3)
    assert [alert.resolved_at is not None for alert in fleet.served.alerts.page()] == [True]
    assert not fleet.served.devices.get("pi-1").drifted


def test_a_resolved_alert_is_not_raised_again_for_the_same_drift(fleet: Fleet) -> None:
    """Who resolves an alert by hand is not told again while the same devices go on drifting."""
    fleet.send(3, shift={"pi-1": unit(3, 5)})
    fleet.served.alerts.resolve(fleet.served.alerts.page()[0].id, actor="ann")
    fleet.send(3, shift={"pi-1": unit(3, 5)})
    assert len(fleet.served.alerts.page()) == 1


def test_a_restart_forgets_nothing(fleet: Fleet, tmp_path: Path) -> None:
    """The first odd window before a restart and the second after it are two of three."""
    fleet.send(1, shift={"pi-1": unit(3, 5)})
    fleet.served = Dynamics(fleet.served.store, tmp_path, monitoring=SETTINGS)
    fleet.send(1, shift={"pi-1": unit(3, 5)})
    assert [alert.kind for alert in fleet.served.alerts.page()] == ["model-drift"]


def test_windows_on_probation_or_too_small_are_passed_over(tmp_path: Path) -> None:
    """Windows with few frames build no baseline and get no score."""
    with dynamics(tmp_path, monitoring=SETTINGS) as served:
        made = Fleet(served)
        made.send(2 * BASELINE, count=SETTINGS.min_frames - 1)
        with served.database.read() as connection:
            assert rows.count_complete_baselines(connection, made.sha256[:32]) == 0
            assert rows.unexamined(connection, 10) == []


def test_a_cool_down_holds_the_policy_back(tmp_path: Path) -> None:
    """After a request has ended, drift of another device within the cool-down opens no second one."""
    with dynamics(tmp_path, monitoring=SETTINGS, retrain=RetrainSettings(cool_down_s=3600.0)) as served:
        made = Fleet(served)
        made.send(BASELINE)
        made.send(3, shift={"pi-1": unit(3, 5)})
        served.requests.cancel(served.requests.page()[0][1].id, actor="ann")
        made.send(3)
        made.send(3, shift={"pi-2": unit(3, 5)})
        assert len(served.requests.page()) == 1
        served.clock.step(hours=2)
        made.send(3)
        made.send(3, shift={"pi-3": unit(3, 5)})
        assert len(served.requests.page()) == 2


def test_a_window_twice_is_stored_once(fleet: Fleet) -> None:
    """The same (device, slot, seq) again changes nothing, whatever it says."""
    batch = telemetry(np.tile(LEVEL, (3, 1)), release_sha256=fleet.sha256, first_seq=900)
    with fleet.served.database.transaction() as connection:
        assert fleet.served.ingest.take_batch("pi-0", batch, connection=connection) == 3
        assert fleet.served.ingest.take_batch("pi-0", batch, connection=connection) == 0
        assert fleet.served.ingest.take_batch("pi-1", batch, connection=connection) == 3


def test_old_windows_make_room(tmp_path: Path) -> None:
    """A device keeps its newest windows up to the cap, give or take what comes between two sweeps."""
    settings = MonitoringSettings(keep_windows_per_device=100)
    with dynamics(tmp_path, monitoring=settings) as served:
        made = Fleet(served, size=1)
        for _ in range(8):
            made.send(100)
        kept = served.ingest.page(device_id="pi-0", limit=1000)
        assert 100 <= len(kept) <= 100 + 356
        assert max(id_ for id_, _ in kept) == 800


def test_impossible_windows_are_refused(fleet: Fleet) -> None:
    """A sequence number or a time that cannot be is refused with its whole batch."""
    good = telemetry(np.tile(LEVEL, (1, 1)), release_sha256=fleet.sha256, first_seq=2**63)
    with fleet.served.database.transaction() as connection, pytest.raises(ContractError, match="seq"):
        fleet.served.ingest.take_batch("pi-0", good, connection=connection)


def test_a_device_that_is_gone_for_long_raises_an_alert_until_it_is_back(tmp_path: Path) -> None:
    """`device-lost` is raised once and resolved by the device's return."""
    with dynamics(tmp_path) as served:
        served.enrol("pi-1")
        served.come("pi-1")
        served.go("pi-1")
        served.presence.check()
        assert served.alerts.page() == []
        served.clock.step(hours=2)
        served.presence.check()
        served.presence.check()
        assert [(alert.kind, alert.device_ids) for alert in served.alerts.page()] == [("device-lost", ("pi-1",))]
        served.come("pi-1", "s2")
        served.presence.check()
        assert served.alerts.page(open_only=True) == []
