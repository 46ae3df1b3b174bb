"""One host process as its supervisor sees it: started, spoken to over the channel, drained or killed."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Final

from device_agent.host.channel import (
    Collected,
    Failed,
    Heartbeat,
    Ready,
    Sample,
    Serve,
    Serving,
    Windows,
    report_channel,
)
from device_agent.telemetry.board import process_rss_mb
from fleet_contract.errors import ContractError, ModelError
from fleet_contract.telemetry import decode_batch

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.channel import Channel, Collect, Command, Load, Report
    from fleet_contract.api import SampleUpload

    OnWindows = Callable[[NDArray[np.void]], None]

LOAD_LIMIT_S: Final = 120.0
SERVE_LIMIT_S: Final = 10.0
_TAIL_LINES: Final = 20
_TAIL_WAIT_S: Final = 1.0
_log: Final = logging.getLogger(__name__)


class HostProcess:
    """A running host; made by `start_host`."""

    def __init__(
        self, process: asyncio.subprocess.Process, channel: Channel[Report, Command], on_windows: OnWindows, title: str
    ) -> None:
        loop = asyncio.get_running_loop()
        self.title = title
        self.totals: Heartbeat | None = None
        self.heard_s = self.started_s = time.monotonic()
        self._process = process
        self._channel = channel
        self._on_windows = on_windows
        self._ready: asyncio.Future[None] = loop.create_future()
        self._serving: asyncio.Future[None] = loop.create_future()
        self._samples: dict[int, list[SampleUpload]] = {}
        self._collected: dict[int, asyncio.Event] = {}
        self._failure = ""
        self._tail: deque[str] = deque(maxlen=_TAIL_LINES)
        self._listening = loop.create_task(self._listen())
        self._logging = loop.create_task(self._forward_log())

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.returncode is None

    def rss_mb(self) -> float:
        """Resident memory in MiB; 0 once it has ended."""
        return process_rss_mb(self._process.pid) if self.alive else 0.0

    def send(self, command: Command) -> None:
        """Tells the host something."""
        self._channel.send(command)

    async def loaded(self) -> None:
        """Returns once the model is loaded and warm.

        Raises:
            ModelError: it is not, and why.
        """
        await self._expect(self._ready, LOAD_LIMIT_S, "load")

    async def serve(self) -> None:
        """Returns once the host accepts connections.

        Raises:
            ModelError: it ended before.
        """
        self.send(Serve())
        await self._expect(self._serving, SERVE_LIMIT_S, "serve")

    async def collect(self, collect: Collect) -> list[SampleUpload]:
        """What the host chose; what it had sent so far when it ends before."""
        done = self._collected.setdefault(collect.id, asyncio.Event())
        samples = self._samples.setdefault(collect.id, [])
        try:
            self.send(collect)
            if not self._listening.done():
                await done.wait()
        finally:
            del self._collected[collect.id], self._samples[collect.id]
        return samples

    async def ended(self, limit_s: float) -> None:
        """Returns once a host that drains has ended; kills it after `limit_s`."""
        try:
            async with asyncio.timeout(limit_s):
                await self.wait()
        except TimeoutError:
            await self.kill("it did not end in time")

    async def kill(self, reason: str) -> None:
        """Ends the process at once; `reason` is for people."""
        if self.alive:
            self._failure = self._failure or f"killed, as {reason}"
            self._process.kill()
        await self.wait()

    async def wait(self) -> str:
        """Returns, once the process has ended and all that it said was heard, how it ended."""
        await self._process.wait()
        await asyncio.wait({self._listening, self._logging}, timeout=_TAIL_WAIT_S)
        return self._failure or self._ending()

    async def _expect(self, said: asyncio.Future[None], limit_s: float, what: str) -> None:
        await asyncio.wait({said, self._listening}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if said.done():
            return
        if not self._listening.done():
            await self.kill(f"it took more than {limit_s:g} s to {what}")
        raise ModelError(f"host of {self.title} did not {what}: {await self.wait()}", hint="\n".join(self._tail))

    def _ending(self) -> str:
        code = self._process.returncode or 0
        if code >= 0:
            return f"it ended with exit code {code}"
        return f"it was ended by {signal.Signals(-code).name}"

    async def _listen(self) -> None:
        try:
            while (report := await self._channel.receive()) is not None:
                self.heard_s = time.monotonic()
                self._take(report)
        except ContractError as error:
            self._failure = f"it said what nobody understands: {error.message}"
            self._process.kill()
        finally:
            for done in self._collected.values():
                done.set()
            await self._channel.close()

    def _take(self, report: Report) -> None:
        match report:
            case Ready():
                _resolve(self._ready)
            case Serving():
                _resolve(self._serving)
            case Failed(detail=detail, hint=hint):
                self._failure = f"{detail} ({hint})" if hint else detail
            case Heartbeat():
                self.totals = report
            case Windows(batch=batch):
                self._hand_over(batch)
            case Sample(collect_id=collect_id, upload=upload):
                if collect_id in self._samples:
                    self._samples[collect_id].append(upload)
            case Collected(collect_id=collect_id):
                if collect_id in self._collected:
                    self._collected[collect_id].set()

    def _hand_over(self, batch: bytes) -> None:
        windows = decode_batch(batch)
        try:
            self._on_windows(windows)
        except Exception:  # noqa: BLE001 - what the taker of windows fails at must not end the host
            _log.exception("windows-lost count=%d", len(windows))

    async def _forward_log(self) -> None:
        if self._process.stderr is None:
            return
        while line := await _next_line(self._process.stderr):
            text = line.decode("utf-8", "replace").rstrip()
            self._tail.append(text)
            _log.info("host-says pid=%d %s", self._process.pid, text)


async def start_host(load: Load, listening: socket.socket, on_windows: OnWindows) -> HostProcess:
    """Starts a process that inherits `listening`; returns once its model is loaded and warm.

    Raises:
        ModelError: it could not be, and why; no process is left.
    """
    title = f"{load.manifest.model} v{load.manifest.version} {load.variant_id}"
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = await _spawn(theirs, listening, load.threads)
        except OSError as error:
            ours.close()
            raise ModelError(f"host of {title} did not start: {error}") from error
    host = HostProcess(process, await report_channel(ours), on_windows, title)
    try:
        host.send(load)
        await host.loaded()
    except BaseException:
        await host.kill("it was not wanted any more")
        raise
    return host


async def _spawn(channel: socket.socket, listening: socket.socket, threads: int) -> asyncio.subprocess.Process:
    inherited = (channel.fileno(), listening.fileno())
    command = [sys.executable, "-P", "-m", "device_agent.host"]
    return await asyncio.create_subprocess_exec(
        *command,
        *map(str, inherited),
        pass_fds=inherited,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=child_environment(threads),
    )


def child_environment(threads: int) -> dict[str, str]:
    """The environment of a child that runs models: no more threads than allowed, as each costs memory."""
    return {
        **os.environ,
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "2",
    }


async def _next_line(stream: asyncio.StreamReader) -> bytes:
    """The next line, or what there is of one that is too long; empty at the end."""
    try:
        return await stream.readline()
    except ValueError:
        return b"(a line that is too long was left out)"


def _resolve(said: asyncio.Future[None]) -> None:
    if not said.done():
        said.set_result(None)
