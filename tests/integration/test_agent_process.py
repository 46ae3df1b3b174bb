"""The real agent as a process: it enrols, stays light, ends gracefully, and shares its state with nobody."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from device_agent.identity import Membership
from device_agent.status import read_status
from device_agent.store import DATABASE_FILE, Store
from fleet_contract.api import BrokerAddress
from fleet_contract.codec import encode
from tests.fakes.agent_process import begun, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEAVY = ("pydantic", "typer", "rich", "requests", "tensorflow", "litestar", "sqlalchemy", "scipy", "matplotlib")
MAX_RSS_MB = 64.0
DUMP_MODULES = """
import signal, sys
def dump(*_):
    open({out!r}, "w").write("\\n".join(sys.modules))
signal.signal(signal.SIGUSR1, dump)
sys.argv = ["device_agent", *{arguments!r}]
import runpy
runpy.run_module("device_agent", run_name="__main__")
"""


def write_identity(state_dir: Path) -> None:
    """An enrolled device whose server and broker are not there."""
    folder = state_dir / "identity"
    folder.mkdir(parents=True)
    broker = BrokerAddress(host="127.0.0.1", port=9, tls=False)
    membership = Membership(
        device_id="pi", tenant="main", server_url="http://127.0.0.1:9", http_token="t", broker=broker
    )
    (folder / "identity.json").write_bytes(encode(membership))
    (folder / "root.json").write_bytes(b"{}")


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """An idle agent, up and without any network."""
    write_identity(tmp_path)
    script = DUMP_MODULES.format(out=str(tmp_path / "modules"), arguments=["--state-dir", str(tmp_path)])
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        wait_for(lambda: begun(tmp_path))
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def resident_mb(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm") as file:  # noqa: PTH123 - procfs, read at once
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def test_the_running_agent_is_light(agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """None of the heavy modules is loaded, and resident memory stays below the budget."""
    time.sleep(1.0)
    rss_mb = resident_mb(agent.pid)
    agent.send_signal(signal.SIGUSR1)
    wait_for(lambda: (tmp_path / "modules").exists() and (tmp_path / "modules").stat().st_size > 0)
    modules = set((tmp_path / "modules").read_text().split())
    print(f"idle agent: {rss_mb:.1f} MB, {len(modules)} modules")  # noqa: T201 - the figure is wanted with -s
    assert modules.isdisjoint(HEAVY)
    assert not modules & {"cryptography", "tuf", "ai_edge_litert", "onnxruntime"}, "needed only for a deployment"
    assert rss_mb < MAX_RSS_MB


def test_sigterm_ends_the_agent_gracefully(agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Exit code 0, soon, and the state says that the end was on purpose."""
    agent.send_signal(signal.SIGTERM)
    assert agent.wait(10.0) == 0
    store = Store.open(tmp_path / DATABASE_FILE)
    assert store.meta("clean_end") == "yes"
    store.close()


def test_a_second_agent_on_the_same_state_is_refused(agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """Two agents would undo each other's work."""
    assert agent.poll() is None
    second = subprocess.run(
        [sys.executable, "-m", "device_agent", "--state-dir", str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert second.returncode != 0
    assert b"another agent" in second.stderr


def test_status_is_read_while_the_agent_runs(agent: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """It writes nothing and disturbs nobody."""
    assert agent.poll() is None
    status = read_status(tmp_path)
    assert (status.device_id, status.desired_rev, status.slots) == ("pi", 0, ())


def test_a_device_that_is_not_enrolled_says_how(tmp_path: Path) -> None:
    """An error line, a hint line, no traceback."""
    ended = subprocess.run(
        [sys.executable, "-m", "device_agent", "--state-dir", str(tmp_path)],
        capture_output=True,
        check=False,
        timeout=20,
    )
    assert ended.returncode != 0
    assert ended.stderr.startswith(b"error: ")
    assert b"hint: edgeferry agent enrol" in ended.stderr


def test_a_claim_enrols_and_the_agent_that_follows_does_not_know_it(tmp_path: Path) -> None:
    """Enrolled over HTTP, the process replaces itself: its command line holds no secret any more."""
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
    from threading import Thread

    root = '{"a": "root"}'
    answer = {
        "device_id": "pi-7",
        "tenant": "main",
        "certificate_pem": "c",
        "ca_pem": "ca",
        "http_token": "token",
        "root_json": root,
        "broker": {"host": "127.0.0.1", "port": 9, "tls": False},
    }

    class Handler(BaseHTTPRequestHandler):
        """Takes any claim."""

        def do_POST(self) -> None:
            """Enrols."""
            body = json.dumps(answer).encode()
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(201)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    claim = f"efc1.secret.{hashlib.sha256(root.encode()).hexdigest()}"
    url = f"http://127.0.0.1:{server.server_address[1]}"
    arguments = ["--state-dir", str(tmp_path), "--server", url, "--claim", claim]
    process = subprocess.Popen(
        [sys.executable, "-m", "device_agent", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: begun(tmp_path))
        with open(f"/proc/{process.pid}/cmdline", "rb") as file:  # noqa: PTH123 - procfs, read at once
            assert b"secret" not in file.read()
        assert read_status(tmp_path).device_id == "pi-7"
        process.send_signal(signal.SIGTERM)
        assert process.wait(10.0) == 0
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        if process.poll() is None:
            process.kill()
        process.wait()
