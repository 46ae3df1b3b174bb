"""A supervised host over real HTTP: the protocol, its errors, its telemetry, collections and figures."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.desired import TelemetryPolicy
from fleet_contract.errors import ConflictError
from fleet_contract.preprocessing import StandardizeEach
from tests.fakes.host_client import call, infer_body
from tests.fakes.host_releases import LABELS, digits, make_release, with_own_golden
from tests.fakes.host_supervisor import watched

if TYPE_CHECKING:
    from pathlib import Path

INFER = "/v2/models/digits/infer"


async def _until(condition: Any, limit_s: float = 8.0) -> None:
    async with asyncio.timeout(limit_s):
        while not condition():  # noqa: ASYNC110 - the supervisor has no event for it
            await asyncio.sleep(0.05)


def test_the_protocol_from_end_to_end(tmp_path: Path) -> None:
    """Health, metadata, inference, errors and metrics answer as the specification says."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, version=4), probation=False)
            await asyncio.to_thread(_protocol, host.port)
            await _until(lambda: host.supervisor.counts().requests == 2)
            counts = host.supervisor.counts()
            assert (counts.errors, counts.invalid, counts.healthy, counts.crashes) == (0, 0, 4, 0)
            assert 0 < counts.latency_p95_ms < 1000

    asyncio.run(story())


def _protocol(port: int) -> None:
    for path in (
        "/v2/health/live",
        "/v2/health/ready",
        "/v2/models/digits/ready",
        "/v2/models/digits/versions/4/ready",
    ):
        assert call(port, path)[0] == 200
    assert call(port, "/v2")[2]["name"] == "edgeferry"
    assert call(port, "/v2/models/digits")[2]["versions"] == ["4"]
    status, _, answer = call(port, "/v2/models/digits/versions/4/infer", infer_body(3))
    assert status == 200
    scores_BK = np.reshape(answer["outputs"][0]["data"], answer["outputs"][0]["shape"])
    np.testing.assert_allclose(scores_BK, digits().outputs[:3], atol=1e-4)
    assert answer["parameters"]["label"] == [LABELS[best] for best in digits().outputs[:3].argmax(1)]
    assert call(port, INFER, infer_body(1))[0] == 200
    _errors(port)
    metrics = call(port, "/metrics")[2]
    assert (
        'edgeferry_inference_requests_total{model="digits",version="4",variant="tflite-f32",outcome="ok"} 2' in metrics
    )
    assert 'outcome="refused"} 2' in metrics


def _errors(port: int) -> None:
    cases = [
        (404, "/v2/models/other/infer", infer_body(), "POST"),
        (404, "/v2/models/digits/versions/3/infer", infer_body(), "POST"),
        (404, "/v2/models/digits/explain", infer_body(), "POST"),
        (404, "/", None, "GET"),
        (405, INFER, None, "GET"),
        (405, "/v2/health/live", b"", "POST"),
        (400, INFER, b"{}", "POST"),
        (400, INFER, b"not json", "POST"),
        (413, INFER, b" " * (2 * 1024 * 1024), "POST"),
    ]
    for status, path, body, method in cases:
        got, _, answer = call(port, path, body, method)
        assert (got, list(answer)) == (status, ["error"]), path


def test_a_result_that_is_not_finite_is_422_and_counted_invalid(tmp_path: Path) -> None:
    """A constant image without a finite preprocessing is refused with its reason, and others go on being served."""

    async def story() -> None:
        async with watched() as host:
            release = with_own_golden(make_release(tmp_path, preprocessing=(StandardizeEach(epsilon=0.0),)))
            await host.supervisor.activate(release, probation=True)
            constant = {"name": "image", "shape": [1, 8, 8, 1], "datatype": "UINT8", "data": [5] * 64}
            body = json.dumps({"inputs": [constant]}).encode()
            status, _, answer = await asyncio.to_thread(call, host.port, INFER, body)
            assert status == 422
            assert "preprocessed input of row 0" in answer["error"]
            assert (await asyncio.to_thread(call, host.port, INFER, infer_body()))[0] == 200
            await _until(lambda: host.supervisor.counts().requests == 2)
            counts = host.supervisor.counts()
            assert (counts.invalid, counts.errors, counts.healthy) == (1, 0, 1)

    asyncio.run(story())


def test_windows_come_home_with_their_probation_mark(tmp_path: Path) -> None:
    """Windows hold the frames that were served, marked until probation ends."""

    async def story() -> None:
        async with watched(telemetry=TelemetryPolicy(window_s=0.2, min_frames=5)) as host:
            await host.supervisor.activate(make_release(tmp_path), probation=True)
            await asyncio.to_thread(call, host.port, INFER, infer_body(20))
            await _until(lambda: len(host.windows) == 1)
            host.supervisor.end_probation()
            await asyncio.sleep(0.1)
            await asyncio.to_thread(call, host.port, INFER, infer_body(7))
            await _until(lambda: len(host.windows) == 2)
            first, second = (windows[0] for windows in host.windows)
            assert (first["count"], first["probation"], first["slot"]) == (20, 1, b"main")
            assert (second["count"], second["probation"]) == (7, 0)
            assert first["rss_mb"] > 20

    asyncio.run(story())


def test_a_telemetry_policy_can_change_while_serving(tmp_path: Path) -> None:
    """A shorter window takes effect for the present one."""

    async def story() -> None:
        async with watched(telemetry=TelemetryPolicy(window_s=1000.0, min_frames=5)) as host:
            await host.supervisor.activate(make_release(tmp_path), probation=False)
            await asyncio.to_thread(call, host.port, INFER, infer_body(20))
            host.supervisor.set_telemetry(TelemetryPolicy(window_s=0.1, min_frames=5))
            await _until(lambda: len(host.windows) == 1)

    asyncio.run(story())


def test_inputs_are_collected_when_asked(tmp_path: Path) -> None:
    """A collection gives raw inputs with what the model said, within its number and budget."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path, version=2), probation=False)
            collecting = asyncio.create_task(host.supervisor.collect(6, 100_000, 1.0))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(call, host.port, INFER, infer_body(40))
            samples = await collecting
            assert [sample.chosen for sample in samples] == ["random"] * 3 + ["margin"] * 3
            known = {image.tobytes(): LABELS[best] for image, best in zip(*_held_out(), strict=True)}
            for sample in samples:
                assert known[base64.b64decode(sample.data)] == sample.predicted
                assert (sample.dtype, sample.shape, sample.version) == ("uint8", (8, 8, 1), 2)

    asyncio.run(story())


def _held_out() -> tuple[np.ndarray, np.ndarray]:
    return digits().inputs, digits().outputs.argmax(1)


def test_a_collection_over_a_swap_returns_what_it_has(tmp_path: Path) -> None:
    """A hand-over ends a collection early, with what was chosen."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path), probation=False)
            collecting = asyncio.create_task(host.supervisor.collect(4, 100_000, 60.0))
            await asyncio.sleep(0.2)
            await asyncio.to_thread(call, host.port, INFER, infer_body(10))
            await host.supervisor.activate(make_release(tmp_path, version=2), probation=False)
            assert len(await asyncio.wait_for(collecting, 10)) == 4

    asyncio.run(story())


def test_nothing_is_collected_where_nothing_serves() -> None:
    """Without a release a collection is a conflict, and callers are refused at once."""

    async def story() -> None:
        async with watched() as host:
            with pytest.raises(ConflictError, match="no serving model"):
                await host.supervisor.collect(1, 1000, 0.1)
            with pytest.raises(ConnectionRefusedError):
                call(host.port, "/v2/health/live")

    asyncio.run(story())


def test_a_port_that_is_taken_is_a_conflict() -> None:
    """The error names the port and what to do."""

    async def story() -> None:
        async with watched() as first:
            first.supervisor._listening.listen()  # type: ignore[union-attr] # it is open
            with pytest.raises(ConflictError, match=str(first.port)):
                async with watched(port=first.port):
                    raise AssertionError

    asyncio.run(story())


def test_bodies_stay_json_under_odd_requests(tmp_path: Path) -> None:
    """Every refusal of the host is JSON with an error, so that callers can show it."""

    async def story() -> None:
        async with watched() as host:
            await host.supervisor.activate(make_release(tmp_path), probation=False)
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
            writer.write(b"BLAH\r\n\r\n")
            answer = await asyncio.wait_for(reader.read(), 5)
            writer.close()
            assert answer.startswith(b"HTTP/1.1 400")
            assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]

    asyncio.run(story())
