"""The worker keeps its queue bounded and counts how requests end."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent.host.engine import NonFiniteError
from device_agent.host.http import HttpRequest
from device_agent.host.inference import InferenceWorker, QueueFullError
from device_agent.host.routes import Routes
from device_agent.host.statistics import Outcome, Statistics
from device_agent.telemetry.board import Board
from device_agent.telemetry.recorder import WindowRecorder
from device_agent.telemetry.window import WindowIdentity, WindowSums
from fleet_contract.desired import TelemetryPolicy
from fleet_contract.errors import ModelError
from tests.fakes.host_client import infer_body
from tests.fakes.host_releases import digits, make_release, reference_profile
from tests.fakes.host_session import function_engine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from device_agent.host.hosted import HostedRelease


def _worker(
    release: HostedRelease, model: Callable[[NDArray[np.generic]], NDArray[np.generic]], queue_limit: int = 2
) -> InferenceWorker:
    recorder = WindowRecorder(
        WindowSums(WindowIdentity("main", "00" * 32, 1), reference_profile(), 10),
        TelemetryPolicy(min_frames=1),
        probation=False,
        wall_s=time.time,
        elapsed_s=time.monotonic,
        board=lambda: Board(0.0, math.nan, throttled=False),
    )
    engine, _ = function_engine(release, model)
    return InferenceWorker(
        engine,
        recorder,
        Statistics(),
        elapsed_s=time.monotonic,
        now=lambda: datetime.now(UTC),
        queue_limit=queue_limit,
    )


def _uniform(input_B: NDArray[np.generic]) -> NDArray[np.float32]:
    return np.full((len(input_B), 10), 0.1, np.float32)


def test_a_full_queue_is_503_with_retry_after(tmp_path: Path) -> None:
    """While two requests run or wait, a third is turned away at once and says when to come back."""
    release = make_release(tmp_path)
    gate = threading.Event()

    def blocked(input_B: NDArray[np.generic]) -> NDArray[np.float32]:
        gate.wait(10)
        return _uniform(input_B)

    async def story() -> None:
        worker = _worker(release, blocked)
        routes = Routes(release, worker, version="1", elapsed_s=time.monotonic)
        request = HttpRequest("POST", "/v2/models/digits/infer", infer_body())
        waiting = [asyncio.create_task(routes(request)) for _ in range(2)]
        await asyncio.sleep(0.05)
        refused = await routes(request)
        assert refused.status == 503
        assert ("Retry-After", "1") in refused.headers
        assert worker.running_s() > 0
        gate.set()
        assert [response.status for response in await asyncio.gather(*waiting)] == [200, 200]
        assert worker.statistics.requests[Outcome.REJECTED] == 1
        assert worker.statistics.in_flight == 0
        assert worker.running_s() == 0

    asyncio.run(story())


def test_a_model_that_fails_is_500_and_an_error_in_the_window(tmp_path: Path) -> None:
    """The runtime's failure reaches the caller as 500 and the window as an error."""
    release = make_release(tmp_path)

    def broken(_: NDArray[np.generic]) -> NDArray[np.generic]:
        raise ModelError("running tflite-f32: delegate failed")

    async def story() -> None:
        worker = _worker(release, broken)
        routes = Routes(release, worker, version="1", elapsed_s=time.monotonic)
        response = await routes(HttpRequest("POST", "/v2/models/digits/infer", infer_body()))
        assert response.status == 500
        assert b"delegate failed" in response.body
        assert worker.statistics.requests[Outcome.ERROR] == 1
        windows = await worker.call(worker._recorder.close)
        assert windows is not None
        assert (windows[0]["errors"], windows[0]["count"]) == (1, 0)

    asyncio.run(story())


def test_an_unexpected_failure_is_500_without_details(tmp_path: Path) -> None:
    """What nobody foresaw is counted, logged and answered, and the host goes on."""
    release = make_release(tmp_path)

    def odd(_: NDArray[np.generic]) -> NDArray[np.generic]:
        raise KeyError("secret")

    async def story() -> None:
        worker = _worker(release, odd)
        routes = Routes(release, worker, version="1", elapsed_s=time.monotonic)
        response = await routes(HttpRequest("POST", "/v2/models/digits/infer", infer_body()))
        assert response.status == 500
        assert b"secret" not in response.body
        assert worker.statistics.requests[Outcome.ERROR] == 1

    asyncio.run(story())


def test_outcomes_are_told_apart(tmp_path: Path) -> None:
    """A non-finite score is invalid, an answered batch counts its rows."""

    def model(input_B: NDArray[np.generic]) -> NDArray[np.float32]:
        return np.full((len(input_B), 10), np.nan, np.float32) if len(input_B) == 1 else _uniform(input_B)

    async def story() -> None:
        worker = _worker(make_release(tmp_path), model)
        with pytest.raises(NonFiniteError):
            await worker.infer(digits().inputs[:1], time.monotonic())
        await worker.infer(digits().inputs[:3], time.monotonic())
        assert worker.statistics.requests[Outcome.INVALID] == 1
        assert (worker.statistics.requests[Outcome.OK], worker.statistics.inferences) == (1, 3)

    asyncio.run(story())


def test_a_full_queue_is_not_an_error_of_the_model(tmp_path: Path) -> None:
    """Turned-away requests are not what probation judges a release by."""

    async def story() -> None:
        worker = _worker(make_release(tmp_path), _uniform, queue_limit=0)
        with pytest.raises(QueueFullError):
            await worker.infer(digits().inputs[:1], time.monotonic())
        assert worker.statistics.requests[Outcome.ERROR] == 0

    asyncio.run(story())
