"""Keeps one slot served: owns the listening socket, swaps hosts without losing a request, restarts what crashes.

    supervisor = Supervisor(slot="main", telemetry=policy, on_windows=spool.add, on_crash=notice)
    await supervisor.open()
    await supervisor.activate(release, probation=True)   # ModelError: the one before keeps serving

Rules: a host that is not loaded and warm never accepts; the old one drains only after the new one accepts; while none
runs, connections wait in the socket's backlog. Before the first activation nothing listens, and callers are refused.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import time
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from random import SystemRandom
from typing import TYPE_CHECKING, Final

from device_agent.host.channel import Collect, Drain, EndProbation, Load, SetTelemetry
from device_agent.host.listener import IN_FLIGHT_LIMIT_S
from device_agent.host.process import start_host
from device_agent.host.restart import failures_in_a_row, restart_delay_s
from device_agent.host.totals import add_up
from fleet_contract.errors import ConflictError, ModelError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.channel import Heartbeat
    from device_agent.host.counts import HostCounts
    from device_agent.host.hosted import HostedRelease
    from device_agent.host.process import HostProcess
    from fleet_contract.api import SampleUpload
    from fleet_contract.desired import TelemetryPolicy

DRAIN_GRACE_S: Final = 3.0
BACKLOG: Final = 128
_WATCH_EVERY_S: Final = 0.5
_SILENCE_LIMIT_S: Final = 60.0
_KILL_AFTER_S: Final = 5.0
_COLLECT_SLACK_S: Final = 30.0
_BIND_TRIES: Final = 30
_BIND_PAUSE_S: Final = 0.1
_log: Final = logging.getLogger(__name__)


class Supervisor:
    """One slot's hosts.

    Args:
        slot: the slot's name, as it stands in telemetry.
        bind: address to listen on.
        port: port to listen on; 0 takes a free one.
        threads: that a host may compute with.
        memory_limit_mb: resident memory above which a host is killed (a crash); 0 for none.
        telemetry: when windows close.
        on_windows: takes closed windows, in the event loop.
        on_crash: told the number of crashes since the last activation after each one, in the event loop.
        drain_grace_s: how long a host that hands over still answers on connections that are open.
    """

    def __init__(
        self,
        *,
        slot: str,
        bind: str = "127.0.0.1",
        port: int = 0,
        threads: int = 1,
        memory_limit_mb: int = 0,
        telemetry: TelemetryPolicy,
        on_windows: Callable[[NDArray[np.void]], None],
        on_crash: Callable[[int], None],
        drain_grace_s: float = DRAIN_GRACE_S,
    ) -> None:
        self.port = port
        self._slot = slot
        self._bind = bind
        self._threads = threads
        self._memory_limit_mb = memory_limit_mb
        self._telemetry = telemetry
        self._on_windows = on_windows
        self._on_crash = on_crash
        self._drain_grace_s = drain_grace_s
        self._listening: socket.socket | None = None
        self._host: HostProcess | None = None
        self._past: list[Heartbeat] = []
        self._crashes = 0
        self._probation = False
        self._watching: asyncio.Task[None] | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._swapping = asyncio.Lock()
        self._collections = 0
        self._rng = SystemRandom()

    async def open(self) -> None:
        """Takes the port; waits a moment for a killed predecessor's hosts to let go of it.

        Raises:
            ConflictError: somebody else has it.
        """
        for _ in range(_BIND_TRIES - 1):
            try:
                return self._take_port()
            except OSError:
                await asyncio.sleep(_BIND_PAUSE_S)
        try:
            self._take_port()
        except OSError as error:
            raise ConflictError(
                f"port of slot {self._slot}: cannot listen on {self._bind}:{self.port}: {error}",
                hint="choose another port, or stop the program that has it",
            ) from error

    async def activate(self, release: HostedRelease, *, probation: bool) -> None:
        """Swaps to `release`; returns when its host accepts connections and the old one has begun to drain.

        Raises:
            ModelError: the release's host did not get ready; the old one keeps serving.
            ConflictError: the supervisor is not open.
        """
        async with self._swapping:
            host = await self._launch(release, probation=probation)
            await self._stop_watching()
            old, self._host = self._host, host
            self._past, self._crashes, self._probation = [], 0, probation
            self._watching = asyncio.get_running_loop().create_task(self._watch(host, release))
            if old is not None and old.alive:
                self._drain(old)

    def counts(self) -> HostCounts:
        """What the active release's hosts did; at most a heartbeat (a quarter of a second) old."""
        present = self._host.totals if self._host else None
        return add_up([*self._past, present] if present else self._past, self._crashes)

    def end_probation(self) -> None:
        """Windows that begin from now on are no longer marked."""
        self._probation = False
        if self._host:
            self._host.send(EndProbation())

    def set_telemetry(self, policy: TelemetryPolicy) -> None:
        """Takes another policy, for the present window too."""
        self._telemetry = policy
        if self._host:
            self._host.send(SetTelemetry(policy))

    async def collect(self, max_samples: int, max_bytes: int, duration_s: float) -> list[SampleUpload]:
        """Chosen inputs after `duration_s`; earlier, with what there is, when the host hands over or dies.

        Raises:
            ConflictError: nothing is served.
            UnreachableError: the host does not answer.
        """
        host = self._host
        if host is None or not host.alive:
            raise ConflictError(f"collecting in slot {self._slot}: got no serving model, expected one")
        self._collections += 1
        collect = Collect(self._collections, max_samples, max_bytes, duration_s)
        try:
            async with asyncio.timeout(duration_s + _COLLECT_SLACK_S):
                return await host.collect(collect)
        except TimeoutError as error:
            raise UnreachableError(f"collecting in slot {self._slot}: the host did not answer in time") from error

    def rss_mb(self) -> float:
        """Resident memory of the serving host in MiB; 0 while none runs."""
        return self._host.rss_mb() if self._host else 0.0

    async def close(self) -> None:
        """Finishes requests that run, ends all hosts and frees the port."""
        await self._stop_watching()
        if self._host and self._host.alive:
            self._drain(self._host, grace_s=0.0)
        self._host = None
        if self._draining:
            await asyncio.wait(self._draining)
        if self._listening:
            self._listening.close()
            self._listening = None

    def _take_port(self) -> None:
        family = socket.AF_INET6 if ":" in self._bind else socket.AF_INET
        listening = socket.socket(family, socket.SOCK_STREAM)
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self._bind, self.port))
        except OSError:
            listening.close()
            raise
        self.port = int(listening.getsockname()[1])
        self._listening = listening

    async def _launch(self, release: HostedRelease, *, probation: bool) -> HostProcess:
        """A host that accepts connections."""
        if self._listening is None:
            raise ConflictError(f"slot {self._slot}: got a supervisor that is not open, expected an open one")
        host = await start_host(self._load(release, probation=probation), self._listening, self._on_windows)
        try:
            self._listening.listen(BACKLOG)
            await host.serve()
        except BaseException:
            await host.kill("it was not wanted any more")
            raise
        return host

    def _load(self, release: HostedRelease, *, probation: bool) -> Load:
        return Load(
            slot=self._slot,
            manifest=release.manifest,
            release_sha256=release.release_sha256,
            variant_id=release.variant_id,
            blobs=str(release.blobs),
            threads=self._threads,
            telemetry=self._telemetry,
            probation=probation,
            agent_version=_agent_version(),
        )

    async def _watch(self, host: HostProcess, release: HostedRelease) -> None:
        """Restarts the release for as long as it is the active one."""
        failures = 0
        while True:
            reason = await self._until_end(host)
            failures = failures_in_a_row(failures, time.monotonic() - host.started_s)
            self._crashed(host, reason)
            while True:
                await asyncio.sleep(restart_delay_s(failures, self._rng))
                try:
                    host = await self._launch(release, probation=self._probation)
                except ModelError as error:
                    failures += 1
                    self._crashed(None, error.message)
                else:
                    self._host = host
                    break

    async def _until_end(self, host: HostProcess) -> str:
        """Returns how the host ended; ends it when it takes too much memory or falls silent."""
        ended = asyncio.ensure_future(host.wait())
        try:
            while not ended.done():
                await asyncio.wait({ended}, timeout=_WATCH_EVERY_S)
                if reason := self._excess(host):
                    await host.kill(reason)
            return ended.result()
        finally:
            ended.cancel()

    def _excess(self, host: HostProcess) -> str:
        rss_mb = host.rss_mb()
        if self._memory_limit_mb and rss_mb > self._memory_limit_mb:
            return f"its resident memory is {rss_mb:.0f} MB, the limit {self._memory_limit_mb} MB"
        silence_s = time.monotonic() - host.heard_s
        return f"it has said nothing for {silence_s:.0f} s" if silence_s > _SILENCE_LIMIT_S else ""

    def _crashed(self, host: HostProcess | None, reason: str) -> None:
        self._crashes += 1
        if host is not None and host.totals is not None:
            self._past.append(host.totals)
            host.totals = None
        _log.warning("host-crashed slot=%s crashes=%d reason=%s", self._slot, self._crashes, reason)
        try:
            self._on_crash(self._crashes)
        except Exception:  # noqa: BLE001 - what is told of a crash may fail, the restart must not
            _log.exception("crash-notice-failed slot=%s", self._slot)

    async def _stop_watching(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching
            self._watching = None

    def _drain(self, host: HostProcess, grace_s: float | None = None) -> None:
        grace_s = self._drain_grace_s if grace_s is None else grace_s
        limit_s = grace_s + IN_FLIGHT_LIMIT_S + _KILL_AFTER_S
        host.send(Drain(grace_s))
        task = asyncio.get_running_loop().create_task(host.ended(limit_s))
        self._draining.add(task)
        task.add_done_callback(self._draining.discard)


@cache
def _agent_version() -> str:
    try:
        return version("edgeferry")
    except PackageNotFoundError:
        return ""
