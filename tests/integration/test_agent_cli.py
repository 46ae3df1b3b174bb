"""`edgeferry agent`: what it prints, and that the agent it starts is the light process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from device_agent.cli import app
from device_agent.identity import Membership
from device_agent.slot_record import SlotRecord
from device_agent.store import DATABASE_FILE, Store
from fleet_contract.api import BrokerAddress
from fleet_contract.codec import encode
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import ConfigError
from fleet_contract.messages import InstalledRelease
from tests.fakes.agent_process import begun, wait_for
from tests.fakes.contract_documents import NOON


@pytest.fixture
def state_dir(tmp_path: Path) -> Path:
    """An enrolled device that runs a release."""
    folder = tmp_path / "identity"
    folder.mkdir()
    broker = BrokerAddress(host="127.0.0.1", port=9, tls=False)
    membership = Membership(
        device_id="pi", tenant="main", server_url="http://127.0.0.1:9", http_token="secret-token", broker=broker
    )
    (folder / "identity.json").write_bytes(encode(membership))
    (folder / "root.json").write_bytes(b"{}")
    active = InstalledRelease(model="eye", version=3, variant="tflite-int8", release_sha256="0" * 64)
    store = Store.open(tmp_path / DATABASE_FILE)
    with store.transaction():
        store.save_slot(SlotRecord(slot="main", since=NOON, state=DeploymentState.COMMITTED, active=active))
    store.close()
    return tmp_path


def test_status_is_for_people_and_for_programs(state_dir: Path) -> None:
    """The same facts as text and as JSON; no secret in either."""
    text = CliRunner().invoke(app, ["status", "--state-dir", str(state_dir)], catch_exceptions=False).output
    data = CliRunner().invoke(app, ["status", "--state-dir", str(state_dir), "--json"], catch_exceptions=False).output
    assert "eye v3 tflite-int8, committed" in text
    assert json.loads(data)["slots"][0]["active"]["version"] == 3
    assert "secret-token" not in text + data


def test_enrol_of_an_enrolled_device_tells_who_it_is(state_dir: Path) -> None:
    """It needs no claim and spends none."""
    ended = CliRunner().invoke(app, ["enrol", "--state-dir", str(state_dir), "--json"], catch_exceptions=False)
    assert json.loads(ended.output) == {"device_id": "pi", "tenant": "main", "server_url": "http://127.0.0.1:9"}


def test_run_without_identity_or_claim_is_an_error_of_ours(tmp_path: Path) -> None:
    """The front door turns it into an exit code."""
    with pytest.raises(ConfigError):
        CliRunner().invoke(app, ["run", "--state-dir", str(tmp_path)], catch_exceptions=False)


def test_run_becomes_the_light_process(state_dir: Path) -> None:
    """The same process id ends up as `python -m device_agent`, and ends gracefully."""
    script = "import sys; from device_agent.cli import app; app(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "run", "--state-dir", str(state_dir), "--port", "0"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        wait_for(lambda: b"device_agent\0--state-dir" in Path(f"/proc/{process.pid}/cmdline").read_bytes())
        wait_for(lambda: begun(state_dir))
        process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
