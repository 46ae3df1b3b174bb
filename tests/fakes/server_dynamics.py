"""The server's dynamics over a fresh database and a clock that tests move, without HTTP and without a broker."""

from __future__ import annotations

import itertools
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet_contract.api import ReleasePublish
from fleet_contract.codec import encode
from fleet_contract.desired import TelemetryPolicy
from fleet_contract.messages import DeviceStatus, Reported
from fleet_contract.signals import signal_names
from fleet_contract.telemetry import encode_batch, window_dtype
from fleet_server.alerts import Alerts
from fleet_server.blobs import LocalBlobs, put_blob
from fleet_server.commands import Commands
from fleet_server.devices import Devices
from fleet_server.director import Director
from fleet_server.document_signer import DocumentSigner
from fleet_server.ingest import Ingest
from fleet_server.monitors.drift_monitor import DriftMonitor
from fleet_server.monitors.presence import Presence
from fleet_server.monitors.verdicts import Verdicts
from fleet_server.registry import Registry
from fleet_server.retrain import RetrainRequests
from fleet_server.retrain_policy import RetrainPolicy
from fleet_server.rollout.engine import RolloutEngine
from fleet_server.rollout.service import Rollouts
from fleet_server.samples import Samples
from fleet_server.settings import MonitoringSettings, RetrainSettings, RolloutSettings, SamplingSettings
from fleet_server.storage import desired as desired_rows
from tests.fakes.contract_documents import profile
from tests.fakes.server_core import Store, blob_contents, open_store, release

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray
    from sqlalchemy.engine import Connection

    from fleet_contract.api import AlertView
    from tests.fakes.server_rollout_fleet import FakeDevice


class TrustingTrust:
    """Takes every release as signed; signatures have their own tests."""

    def publish_release_targets(self, model: str, version: int, targets_json: bytes, manifest_bytes: bytes) -> None:
        """Accepts."""
        del model, version, targets_json, manifest_bytes


@dataclass
class ToldAlerts:
    """Remembers the alerts that it was told."""

    told: list[AlertView] = field(default_factory=list)

    def tell(self, alert: AlertView) -> None:
        """Takes an alert."""
        self.told.append(alert)


class Dynamics:
    """Every service of the dynamics over one store; making another over the same store is a restart."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        *,
        director: Director | None = None,
        monitoring: MonitoringSettings | None = None,
        retrain: RetrainSettings | None = None,
        sampling: SamplingSettings | None = None,
    ) -> None:
        counter = itertools.count(1)

        def new_id(prefix: str) -> str:
            return f"{prefix}-{next(counter)}"

        database, clock = store.database, store.clock
        monitoring = monitoring or MonitoringSettings()
        retrain = retrain or RetrainSettings()
        self.store, self.clock, self.database = store, clock, database
        self.teller = ToldAlerts()
        self.blobs = LocalBlobs(folder / "blobs")
        self.devices = Devices(database, store.changes, store.audit, clock)
        self.director = director or make_director(store)
        shared = {"changes": store.changes, "audit": store.audit, "clock": clock}
        self.registry = Registry(database, blobs=self.blobs, trust=TrustingTrust(), **shared)  # type: ignore[arg-type]
        self.alerts = Alerts(database, teller=self.teller, **shared)  # type: ignore[arg-type]
        self.commands = Commands(database, devices=self.devices, director=self.director, new_id=new_id, **shared)  # type: ignore[arg-type]
        self.rollouts = Rollouts(database, registry=self.registry, new_id=new_id, **shared)  # type: ignore[arg-type]
        self.engine = RolloutEngine(
            database,
            director=self.director,
            registry=self.registry,
            alerts=self.alerts,
            settings=RolloutSettings(),
            **shared,  # type: ignore[arg-type]
        )
        self.requests = RetrainRequests(database, settings=retrain, new_id=new_id, **shared)  # type: ignore[arg-type]
        self.policy = RetrainPolicy(
            database,
            requests=self.requests,
            commands=self.commands,
            devices=self.devices,
            clock=clock,
            settings=retrain,
        )
        self.samples = Samples(
            database,
            blobs=self.blobs,
            devices=self.devices,
            registry=self.registry,
            requests=self.requests,
            settings=sampling or SamplingSettings(),
            new_id=new_id,
            **shared,  # type: ignore[arg-type]
        )
        self.ingest = Ingest(database, store.changes, monitoring)
        verdicts = Verdicts(devices=self.devices, alerts=self.alerts, policy=self.policy, settings=monitoring)
        self.drift = DriftMonitor(database, verdicts, monitoring)
        self.presence = Presence(database, alerts=self.alerts, clock=clock, settings=monitoring)

    def publish(self, version: int) -> str:
        """Registers a small release; the digest of its manifest."""
        for content in blob_contents(version):
            put_blob(self.blobs, content)
        data = encode(release(version))
        sha256 = put_blob(self.blobs, data)
        self.registry.publish(ReleasePublish(release_sha256=sha256, targets_json="{}"), actor="test")
        return sha256

    def enrol(self, device_id: str, *, hardware: str = "pi5", labels: dict[str, str] | None = None) -> None:
        """A new member of the fleet, offline."""
        with self.database.transaction() as connection:
            known = profile(device_id=device_id, hardware=hardware)
            self.devices.register(device_id, labels or {}, known, connection=connection)

    def come(self, device_id: str, session_id: str = "s1") -> None:
        """A device comes online."""
        self.devices.take_status(device_id, DeviceStatus(session_id=session_id, online=True))

    def go(self, device_id: str, session_id: str = "s1") -> None:
        """A device goes."""
        self.devices.take_status(device_id, DeviceStatus(session_id=session_id, online=False))


def make_director(store: Store) -> Director:
    """A director with a fresh key."""
    signer = DocumentSigner(Ed25519PrivateKey.generate())
    return Director(store.database, store.changes, signer, store.clock, TelemetryPolicy())


@contextmanager
def dynamics(folder: Path, **settings: object) -> Iterator[Dynamics]:
    """All services over a fresh database."""
    with open_store(folder) as store:
        yield Dynamics(store, folder, **settings)  # type: ignore[arg-type]


class StoredFleet:
    """Simulated devices that read their desired state from the database and report into it."""

    def __init__(self, served: Dynamics, devices: list[FakeDevice]) -> None:
        self.served = served
        self.devices = {device.device_id: device for device in devices}
        self._seq = itertools.count(1)
        self._told: dict[str, bool] = {}
        for device in devices:
            served.enrol(device.device_id, hardware=device.hardware)
            device.step()
        self._report_all()

    def step(self) -> None:
        """Every device takes what it is asked, goes one step, and reports."""
        with self.served.database.read() as connection:
            found = {device_id: desired_rows.find(connection, device_id) for device_id in self.devices}
        for device_id, device in self.devices.items():
            row = found[device_id]
            if row is not None:
                device.rev = row.rev
                device.desired = next((each for each in row.slots if each.slot == "main"), None)
            device.step()
        self._report_all()

    def run(self, rollout_id: str, ticks: int = 60, step_s: float = 10.0) -> str:
        """Lets server and devices take turns; the rollout's state at the end."""
        for _ in range(ticks):
            self.served.engine.step_all()
            if self.served.rollouts.get(rollout_id).ended_at is not None:
                break
            self.step()
            self.served.clock.step(seconds=step_s)
        return self.served.rollouts.get(rollout_id).state.value

    def _report_all(self) -> None:
        with self.served.database.transaction() as connection:
            for device in self.devices.values():
                self._report(device, connection)

    def _report(self, device: FakeDevice, connection: Connection) -> None:
        if self._told.get(device.device_id) != device.online:
            status = DeviceStatus(session_id="s1", online=device.online)
            self.served.devices.take_status(device.device_id, status, connection=connection)
            self._told[device.device_id] = device.online
        if device.online:
            slots = (device.reported,) if device.reported else ()
            at = self.served.clock.now()
            report = Reported(seq=next(self._seq), at=at, desired_rev=device.reported_rev, slots=slots)
            self.served.devices.take_reported(device.device_id, report, connection=connection)


def telemetry(
    means_NS: NDArray[np.float64], *, release_sha256: str, first_seq: int, count: int = 60, class_count: int = 3
) -> bytes:
    """A batch of windows with these signal means."""
    windows = np.zeros(len(means_NS), window_dtype(len(signal_names(class_count)), class_count))
    windows["seq"] = np.arange(first_seq, first_seq + len(means_NS))
    windows["started_s"] = 1.8e9 + 60.0 * windows["seq"]
    windows["duration_s"] = 60.0
    windows["slot"] = b"main"
    windows["release"] = np.frombuffer(bytes.fromhex(release_sha256)[:16], "V16")
    windows["model_version"] = 1
    windows["count"] = count
    windows["means"] = means_NS
    windows["latency"][:, 40] = count
    return encode_batch(windows)
