"""One host process: obeys its supervisor, serves one release, and tells how it goes.

    Load -> (load, warm up) -> Ready | Failed;  Serve -> Serving;  Drain -> finish, then end

Rules: end of file on the channel ends the process at once, whatever runs; so does a run of the model that takes
longer than HANG_LIMIT_S, because a thread in native code cannot be stopped otherwise.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final

from device_agent.host.channel import (
    Collect,
    Drain,
    EndProbation,
    Failed,
    Heartbeat,
    Load,
    Ready,
    Serve,
    Serving,
    SetTelemetry,
    Windows,
)
from device_agent.host.collection import Collection
from device_agent.host.hosted import HostedRelease
from device_agent.host.http import HttpLimits
from device_agent.host.inference import InferenceWorker
from device_agent.host.listener import Listener
from device_agent.host.loading import load_engine, load_profile, warm_up
from device_agent.host.protocol import body_limit_bytes
from device_agent.host.routes import Routes
from device_agent.host.statistics import Outcome, Statistics
from device_agent.telemetry.board import read_board
from device_agent.telemetry.recorder import WindowRecorder
from device_agent.telemetry.window import WindowIdentity, WindowSums
from fleet_contract.errors import EdgeferryError
from fleet_contract.telemetry import encode_batch

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine

    import numpy as np
    from numpy.typing import NDArray

    from device_agent.host.channel import Channel, Command, Report
    from device_agent.host.engine import Engine

HEARTBEAT_S: Final = 0.25
SILENCE_S: Final = 5.0
HANG_LIMIT_S: Final = 30.0
EXIT_ORPHANED: Final = 3
EXIT_HUNG: Final = 4
EXIT_FAILED: Final = 5
_log: Final = logging.getLogger(__name__)


class HostService:
    """Runs from the first command to the end of the process."""

    def __init__(self, channel: Channel[Command, Report], listening: socket.socket) -> None:
        self.channel = channel
        self.listening = listening
        self._serving: _Serving | None = None
        self._ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> int:
        """Returns the process's exit code."""
        self._spawn(self._obey())
        self._spawn(self._beat())
        code = await self._ended
        await self.channel.close()
        return code

    async def _obey(self) -> None:
        while (command := await self.channel.receive()) is not None:
            self._carry_out(command)
        os._exit(EXIT_ORPHANED)

    def _carry_out(self, command: Command) -> None:
        if isinstance(command, Load):
            self._spawn(self._load(command))
            return
        serving = self._serving
        if serving is None:
            return
        match command:
            case Serve():
                serving.listener.start()
                self.channel.send(Serving())
            case Drain(grace_s=grace_s):
                self._spawn(self._drain(serving, grace_s))
            case EndProbation():
                self._spawn(self._send_window(serving, serving.recorder.end_probation))
            case SetTelemetry(policy=policy):
                serving.recorder.policy = policy
            case Collect():
                self._spawn(serving.collection.run(command))

    async def _load(self, load: Load) -> None:
        try:
            # A thread, so that the end of the channel is seen while native code loads.
            release = _release(load)
            engine = await asyncio.to_thread(_load_warm, release, load.threads)
            self._serving = _Serving(load, release, engine, host=self)
        except EdgeferryError as error:
            self.channel.send(Failed(error.message, error.hint))
            self._end(EXIT_FAILED)
            return
        self.channel.send(Ready())

    async def _drain(self, serving: _Serving, grace_s: float) -> None:
        await serving.collection.finish()
        await serving.listener.drain(grace_s)
        await self._send_window(serving, serving.recorder.close)
        self.channel.send(serving.heartbeat())
        self._end(0)

    async def _beat(self) -> None:
        last: Heartbeat | None = None
        said_s = time.monotonic()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            serving = self._serving
            if serving is None:
                continue
            if serving.worker.running_s() > HANG_LIMIT_S:
                _log.error("model-hung running_s=%.1f", serving.worker.running_s())
                os._exit(EXIT_HUNG)
            if (beat := serving.heartbeat()) != last or time.monotonic() - said_s > SILENCE_S:
                self.channel.send(beat)
                last, said_s = beat, time.monotonic()
            if serving.recorder.due():
                await self._send_window(serving, serving.recorder.close)

    async def _send_window(self, serving: _Serving, close: Callable[[], NDArray[np.void] | None]) -> None:
        windows = await serving.worker.call(close)
        if windows is not None:
            self.channel.send(Windows(encode_batch(windows)))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("host-failed", exc_info=error)
            self._end(EXIT_FAILED)

    def _end(self, code: int) -> None:
        if not self._ended.done():
            self._ended.set_result(code)


class _Serving:
    """What exists once a release is loaded."""

    def __init__(self, load: Load, release: HostedRelease, engine: Engine, *, host: HostService) -> None:
        manifest = release.manifest
        identity = WindowIdentity(load.slot, release.release_sha256, manifest.version)
        self.recorder = WindowRecorder(
            WindowSums(identity, load_profile(release), manifest.outputs[0].shape[0]),
            load.telemetry,
            probation=load.probation,
            wall_s=time.time,
            elapsed_s=time.monotonic,
            board=read_board,
        )
        self.worker = InferenceWorker(engine, self.recorder, Statistics(), elapsed_s=time.monotonic, now=_now)
        routes = Routes(release, self.worker, version=load.agent_version, elapsed_s=time.monotonic)
        limits = HttpLimits(body_bytes=body_limit_bytes(manifest.inputs[0]))
        self.listener = Listener(host.listening, routes, limits)
        self.collection = Collection(self.worker, host.channel, manifest, SystemRandom())

    def heartbeat(self) -> Heartbeat:
        """The totals now."""
        statistics = self.worker.statistics
        ended = statistics.requests
        return Heartbeat(
            requests=ended[Outcome.OK] + ended[Outcome.ERROR] + ended[Outcome.INVALID],
            errors=ended[Outcome.ERROR],
            invalid=ended[Outcome.INVALID],
            healthy=statistics.inferences,
            latency=tuple(statistics.latency.tolist()),
        )


def _release(load: Load) -> HostedRelease:
    return HostedRelease(load.manifest, load.release_sha256, load.variant_id, Path(load.blobs))


def _load_warm(release: HostedRelease, threads: int) -> Engine:
    engine = load_engine(release, threads=threads)
    warm_up(engine, release)
    return engine


def _now() -> datetime:
    return datetime.now(UTC)
