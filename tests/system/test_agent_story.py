"""A device's story with nothing faked on the device: real process, real TFLite host, Mosquitto, TUF and HTTP.

It enrols beforehand, installs a real model, serves real requests, commits, sends telemetry home, refuses a model that
is wrong on this board and a blob that was tampered with, survives a kill with no network, and ends gracefully.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import pytest

from converter.process.sandbox import Limits
from converter.sources.importer import ImportRequest, import_model
from converter.stopwatch import Stopwatch
from device_agent.identity import Membership
from fleet_contract.api import BrokerAddress
from fleet_contract.codec import decode, encode
from fleet_contract.deployment import DeploymentState
from fleet_contract.desired import Desired, ProbationPolicy, TelemetryPolicy
from fleet_contract.messages import DeviceStatus, Event, Reported, SecurityReport
from fleet_contract.signing import DESIRED_TYPE, envelope, pre_authentication_encoding
from fleet_contract.telemetry import decode_batch
from tests.fakes.agent_broker import MOSQUITTO, Mosquitto, Observer
from tests.fakes.agent_http import HttpFake
from tests.fakes.agent_process import wait_for
from tests.fakes.agent_releases import FakeRelease
from tests.fakes.agent_tuf import TufFake
from tests.fakes.converter_candidates import RecordingProgress
from tests.fakes.converter_foreign import digit_rows, foreign
from tests.fakes.host_client import call, infer_body
from tests.fakes.host_releases import digits, make_release, store_golden

if TYPE_CHECKING:
    from collections.abc import Iterator

    from converter.bundle import Bundle
    from fleet_contract.release import BlobRef, ReleaseManifest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.mosquitto,
    pytest.mark.skipif(not Path(MOSQUITTO).exists(), reason="Mosquitto is not installed"),
]

S = DeploymentState
TOPICS = "ef/1/main/d/pi/"
PROBATION = ProbationPolicy(min_duration_s=0.5, max_duration_s=30.0, min_inferences=20)


class Fleet:
    """One device, its broker, its server, and what they heard."""

    def __init__(self, folder: Path, server: HttpFake, broker: Mosquitto) -> None:
        self.state_dir = folder / "state"
        self._blobs = folder / "published"
        self.server = server
        self.broker = broker
        self.tuf = TufFake(server, "digits")
        self.observer = Observer(broker.port)
        self._rev = 0
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        identity = self.state_dir / "identity"
        identity.mkdir(parents=True)
        address = BrokerAddress(host="127.0.0.1", port=broker.port, tls=False)
        membership = Membership(
            device_id="pi", tenant="main", server_url=server.url, http_token="token", broker=address
        )
        (identity / "identity.json").write_bytes(encode(membership))
        (identity / "root.json").write_bytes(self.tuf.root)
        server.files["/healthz"] = b"{}"
        self.body = infer_body()

    def publish(self, manifest: ReleaseManifest) -> FakeRelease:
        """Signs a release and uploads its blobs."""
        blobs = {blob.sha256: (self._blobs / blob.sha256).read_bytes() for blob in manifest.blobs()}
        release = FakeRelease(manifest, encode(manifest), blobs)
        self.tuf.add_release(release)
        self.tuf.publish()
        for sha256, data in blobs.items():
            self.server.files[f"/api/v1/blobs/{sha256}"] = data
        return release

    def take(self, bundle: Bundle) -> ReleaseManifest:
        """A release that was made elsewhere."""
        self._blobs.mkdir(exist_ok=True)
        for blob in bundle.manifest.blobs():
            (self._blobs / blob.sha256).write_bytes(bundle.blob(blob).read_bytes())
        return bundle.manifest

    def make(self, version: int, **changes: BlobRef) -> ReleaseManifest:
        """A real digits release."""
        return make_release(self._blobs, "tflite-f32", version=version, **changes).manifest

    def wrong_golden(self, version: int) -> ReleaseManifest:
        """A release whose golden outputs are another model's."""
        golden = store_golden(self._blobs, digits().inputs[:64], digits().outputs[64:128])
        return self.make(version, golden=golden)

    def more_golden(self, version: int) -> ReleaseManifest:
        """A good release with golden vectors that no other release has."""
        return self.make(version, golden=store_golden(self._blobs, digits().inputs[:70], digits().outputs[:70]))

    def desire(self, release: FakeRelease) -> None:
        """The director's next document."""
        self._rev += 1
        now = datetime.now(UTC)
        slot = release.desired(f"d-{release.manifest.version}", probation=PROBATION)
        desired = Desired(
            device_id="pi",
            rev=self._rev,
            issued_at=now,
            expires_at=now + timedelta(hours=1),
            slots=(slot,),
            telemetry=TelemetryPolicy(window_s=1.0, publish_every_s=1.0, min_frames=5),
        )
        payload, signer = encode(desired), self.tuf.director
        signature = bytes.fromhex(signer.sign(pre_authentication_encoding(DESIRED_TYPE, payload)).signature)
        document = envelope(DESIRED_TYPE, payload, signer.public_key.keyid, signature)
        self.observer.publish(f"{TOPICS}desired", encode(document), retain=True)

    @contextmanager
    def agent(self) -> Iterator[subprocess.Popen[bytes]]:
        """The agent as a process; killed at the end if it still runs."""
        arguments = ["--state-dir", str(self.state_dir), "--port", str(self.port), "--runtime", "tflite"]
        log = (self.state_dir / "log").open("ab")
        process = subprocess.Popen([sys.executable, "-m", "device_agent", *arguments], stdout=log, stderr=log)
        log.close()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()

    def states(self, deployment_id: str) -> list[DeploymentState]:
        """States that were told to the broker."""
        heard = [data for data in self.observer.on(f"{TOPICS}event") if b'"refused"' not in data]
        events = [decode(data, Event) for data in heard]
        return [event.to_state for event in events if event.deployment_id == deployment_id]

    def security(self) -> list[SecurityReport]:
        """Refusals that were told to the broker."""
        heard = [data for data in self.observer.on(f"{TOPICS}event") if b'"refused"' in data]
        return [decode(data, SecurityReport) for data in heard]

    def reported(self) -> Reported:
        """The last full state."""
        return decode(self.observer.on(f"{TOPICS}reported")[-1], Reported)

    def infer(self) -> bool:
        """One real request; whether it was answered well."""
        try:
            return call(self.port, "/v2/models/digits/infer", self.body)[0] == 200
        except OSError:
            return False


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    """A fleet of one."""
    with HttpFake() as server, Mosquitto(tmp_path) as broker:
        made = Fleet(tmp_path, server, broker)
        yield made
        made.observer.close()


def serve_until(fleet: Fleet, deployment_id: str, state: DeploymentState) -> None:
    """Sends requests until a deployment got there."""
    wait_for(lambda: [fleet.infer() for _ in range(5)] and state in fleet.states(deployment_id), f"never {state}")


def test_the_life_of_a_device(fleet: Fleet) -> None:
    """From an empty slot to a committed release, through refusals, a kill without network, to a graceful end."""
    with fleet.agent() as agent:
        fleet.desire(fleet.publish(fleet.make(1)))
        serve_until(fleet, "d-1", S.COMMITTED)
        wait_for(lambda: [fleet.infer()] and fleet.observer.on(f"{TOPICS}telemetry"), "no telemetry")
        windows = decode_batch(fleet.observer.on(f"{TOPICS}telemetry")[0])
        assert windows["model_version"].tolist() == [1] * len(windows)
        assert windows["count"].sum() > 0

        fleet.desire(fleet.publish(fleet.wrong_golden(2)))
        wait_for(lambda: S.FAILED in fleet.states("d-2"), "a wrong model was not refused")
        assert S.ACTIVATING not in fleet.states("d-2")

        third = fleet.publish(fleet.more_golden(3))
        golden = third.manifest.golden.sha256
        fleet.server.files[f"/api/v1/blobs/{golden}"] = bytes(third.manifest.golden.size_bytes)
        fleet.desire(third)
        wait_for(lambda: S.FAILED in fleet.states("d-3"), "a tampered blob was not refused")
        assert [(report.refused, report.code) for report in fleet.security()] == [("blob", "blob-hash")]
        assert fleet.infer()

        wait_for(lambda: fleet.reported().slots[0].state is S.FAILED, "the state was not reported")
        report = fleet.reported()
        assert report.slots[0].active is not None
        assert (report.slots[0].active.version, report.slots[0].host_port) == (1, fleet.port)
        print(f"agent {report.agent_rss_mb:.1f} MB, host {report.host_rss_mb:.1f} MB")  # noqa: T201 - wanted with -s
        agent.send_signal(signal.SIGKILL)
        agent.wait()

    fleet.broker.kill()
    with fleet.agent() as agent:
        wait_for(fleet.infer, "no inference without network")
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20.0) == 0
    assert not fleet.infer()


def test_a_graceful_end_says_goodbye(fleet: Fleet) -> None:
    """SIGTERM: offline under the same session, exit code 0, no host left behind."""
    with fleet.agent() as agent:
        fleet.desire(fleet.publish(fleet.make(1)))
        serve_until(fleet, "d-1", S.COMMITTED)
        agent.send_signal(signal.SIGTERM)
        assert agent.wait(20.0) == 0
    wait_for(lambda: len(fleet.observer.on(f"{TOPICS}status")) >= 2, "no goodbye")
    birth, goodbye = (decode(data, DeviceStatus) for data in fleet.observer.on(f"{TOPICS}status"))
    assert (birth.online, goodbye.online) == (True, False)
    assert birth.session_id == goodbye.session_id
    assert not os.path.exists(f"/proc/{agent.pid}")  # noqa: PTH110 - procfs
    assert not fleet.infer()


def test_a_foreign_model_without_labels_is_installed_and_served(fleet: Fleet, tmp_path: Path) -> None:
    """An autoencoder, imported, is proven, committed and served like a classifier; its windows come home."""
    request = ImportRequest(
        model=foreign("autoencoder.keras"),
        samples=digit_rows(tmp_path / "rows.npz"),
        now=datetime.now(UTC),
        name="digits",
    )
    watch = Stopwatch(RecordingProgress(), perf_counter)
    bundle = import_model(request, tmp_path / "release", watch=watch, recipes=("tflite-f32",), limits=Limits())
    image = {"name": "input", "shape": [1, 8, 8, 1], "datatype": "FP32", "data": [0.5] * 64}
    fleet.body = json.dumps({"inputs": [image]}).encode()
    with fleet.agent():
        fleet.desire(fleet.publish(fleet.take(bundle)))
        serve_until(fleet, "d-1", S.COMMITTED)
        status, _, answer = call(fleet.port, "/v2/models/digits/infer", fleet.body)
        assert (status, answer["outputs"][0]["shape"]) == (200, [1, 64])
        wait_for(lambda: [fleet.infer()] and fleet.observer.on(f"{TOPICS}telemetry"), "no telemetry")
