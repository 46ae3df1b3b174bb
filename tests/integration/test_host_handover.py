"""Swaps, crashes and hangs of hosts, seen from callers: no request is lost that can be kept."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ModelError
from tests.fakes.host_client import Hammer, call, infer_body
from tests.fakes.host_releases import make_release, store_blob, with_variant
from tests.fakes.host_supervisor import watched

if TYPE_CHECKING:
    from collections.abc import Callable

INFER = "/v2/models/digits/infer"


async def _until(condition: Callable[[], bool], limit_s: float = 15.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - processes have no event for it
            await asyncio.sleep(0.05)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_five_swaps_lose_no_request(tmp_path: Path) -> None:
    """Callers that keep connections, and ones that do not, see only 200 while five releases take over."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, version=1), probation=False)
            with Hammer(host.port) as hammer:
                for version in range(2, 7):
                    variant = ("tflite-f32", "tflite-int8")[version % 2]
                    await host.supervisor.activate(make_release(tmp_path, variant, version=version), probation=False)
                    seen = len(hammer.versions)
                    await _until(lambda seen=seen: len(hammer.versions) > seen + 30)  # type: ignore[misc]
            assert hammer.failures == []
            assert set(hammer.versions) == {"1", "2", "3", "4", "5", "6"}
            assert len(hammer.versions) > 200

    asyncio.run(story())


def test_a_kept_connection_is_told_to_close_after_a_swap(tmp_path: Path) -> None:
    """The old host answers once more on an open connection, and says that it closes."""

    async def story() -> None:
        async with watched(drain_grace_s=3.0) as host:
            await host.supervisor.activate(make_release(tmp_path, version=1), probation=False)
            with closing(HTTPConnection("127.0.0.1", host.port, timeout=10)) as connection:
                assert _version(connection) == (b'"model_version":"1"', None)
                await host.supervisor.activate(make_release(tmp_path, version=2), probation=False)
                await asyncio.sleep(0.3)
                assert _version(connection) == (b'"model_version":"1"', "close")
                assert _version(connection) == (b'"model_version":"2"', None)

    asyncio.run(story())


def _version(connection: HTTPConnection) -> tuple[bytes, str | None]:
    connection.request("POST", INFER, infer_body())
    response = connection.getresponse()
    body = response.read()
    start = body.index(b'"model_version"')
    return body[start : body.index(b",", start)], response.getheader("Connection")


def test_the_old_host_ends_after_its_grace(tmp_path: Path) -> None:
    """Its memory comes back although a connection stays open and idle."""

    async def story() -> None:
        async with watched(drain_grace_s=0.3) as host:
            await host.supervisor.activate(make_release(tmp_path, version=1), probation=False)
            old = host.pid
            with socket.create_connection(("127.0.0.1", host.port)):
                await host.supervisor.activate(make_release(tmp_path, version=2), probation=False)
                await _until(lambda: not _running(old))
            assert _running(host.pid)

    asyncio.run(story())


def test_a_release_that_does_not_load_leaves_the_old_one_serving(tmp_path: Path) -> None:
    """A broken file is a ModelError with the runtime's reason; counts and version stay those of the old release."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, version=1), probation=False)
            await asyncio.to_thread(call, host.port, INFER, infer_body())
            await _until(lambda: host.supervisor.counts().requests == 1)
            broken = with_variant(make_release(tmp_path, version=2), blob=store_blob(tmp_path, b"junk" * 99, "x"))
            with pytest.raises(ModelError, match=r"digits v2 tflite-f32 did not load.*loading tflite-f32"):
                await host.supervisor.activate(broken, probation=True)
            answer = await asyncio.to_thread(call, host.port, INFER, infer_body())
            assert answer[2]["model_version"] == "1"
            assert host.crashes == []

    asyncio.run(story())


def test_a_crashed_host_comes_back_and_waiting_callers_are_served(tmp_path: Path) -> None:
    """After a crash the same release starts again; who connects meanwhile waits instead of being refused."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path), probation=True)
            await asyncio.to_thread(call, host.port, INFER, infer_body(3))
            await _until(lambda: host.supervisor.counts().healthy == 3)
            os.kill(host.pid, signal.SIGSEGV)
            status, _, _ = await asyncio.to_thread(call, host.port, INFER, infer_body(2))
            assert status == 200
            await _until(lambda: host.supervisor.counts().healthy == 5)
            counts = host.supervisor.counts()
            assert (counts.crashes, counts.requests) == (1, 2)
            assert host.crashes == [1]

    asyncio.run(story())


def test_an_activation_after_crashes_starts_the_counts_anew(tmp_path: Path) -> None:
    """Crashes belong to the release that had them."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, version=1), probation=True)
            os.kill(host.pid, signal.SIGKILL)
            await _until(lambda: host.crashes == [1])
            await host.supervisor.activate(make_release(tmp_path, version=2), probation=True)
            assert host.supervisor.counts().crashes == 0
            answer = await asyncio.to_thread(call, host.port, INFER, infer_body())
            assert answer[2]["model_version"] == "2"

    asyncio.run(story())


def test_a_host_over_its_memory_limit_is_a_crash(tmp_path: Path) -> None:
    """Resident memory above the limit ends the host, again and again, each time as a crash."""

    async def story() -> None:
        async with watched(memory_limit_mb=20) as host:
            await host.supervisor.activate(make_release(tmp_path), probation=True)
            await _until(lambda: len(host.crashes) >= 1)

    asyncio.run(story())


def test_a_host_ends_when_its_supervisor_dies() -> None:
    """No host outlives a supervisor that was killed."""
    program = Path(__file__).parents[1] / "fakes" / "host_orphan.py"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, text=True
    ) as supervisor:
        assert supervisor.stdout is not None
        host_pid = int(supervisor.stdout.readline())
        assert _running(host_pid)
        supervisor.kill()
        supervisor.wait()
    deadline_s = time.monotonic() + 5
    while _running(host_pid) and time.monotonic() < deadline_s:
        time.sleep(0.05)
    assert not _running(host_pid)
