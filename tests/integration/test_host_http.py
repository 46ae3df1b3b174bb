"""The host's HTTP edge over real sockets, with a handler that echoes: limits, time-outs, pipelining, drain."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from device_agent.host.http import HttpLimits, HttpRequest, HttpResponse
from device_agent.host.listener import Listener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LIMITS = HttpLimits(body_bytes=1000, header_bytes=2000, read_timeout_s=0.3, idle_timeout_s=0.6)


async def _echo(request: HttpRequest) -> HttpResponse:
    if request.path == "/slow":
        await asyncio.sleep(0.4)
    return HttpResponse(200, f"{request.method} {request.path} {len(request.body)}".encode(), "text/plain")


@asynccontextmanager
async def _listening(limits: HttpLimits = LIMITS, **settings: int) -> AsyncIterator[tuple[Listener, int]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        listener = Listener(server, _echo, limits, **settings)
        listener.start()
        yield listener, server.getsockname()[1]
        await listener.drain(0.0)


async def _exchange(port: int, data: bytes) -> bytes:
    """All that comes back until the host closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 200),
        (b"GET /a HTTP/1.0\r\n\r\n", 200),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /a HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET /a HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 3000, 431),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n", 413),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"z" * 2000 + b"\r\n", 413),
        (b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", 408),
        (b"POST /a HTTP/1.1\r\nHo", 408),
    ],
)
def test_every_request_gets_one_answer_and_a_close(request_bytes: bytes, status: int) -> None:
    """Good, broken, oversized and unfinished requests are answered with their status."""

    async def story() -> bytes:
        async with _listening() as (_, port):
            return await _exchange(port, request_bytes)

    answer = asyncio.run(story())
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert answer.count(b"HTTP/1.1") == 1
    assert b"connection: close" in answer.lower()


def test_pipelined_requests_are_answered_in_order() -> None:
    """Two requests in one packet give two answers, also around a body."""
    first = b"POST /one HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
    second = b"GET /two?x=1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

    async def story() -> bytes:
        async with _listening() as (_, port):
            return await _exchange(port, first + second)

    answer = asyncio.run(story())
    assert answer.index(b"POST /one 3") < answer.index(b"GET /two 0")


def test_a_caller_that_waits_for_continue_is_told_to() -> None:
    """`Expect: 100-continue` gets its interim answer before the body is sent."""

    async def story() -> tuple[bytes, bytes]:
        async with _listening() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = (
                b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
            )
            writer.write(head)
            interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 3)
            writer.write(b"hi")
            answer = await asyncio.wait_for(reader.read(), 3)
            writer.close()
            return interim, answer

    interim, answer = asyncio.run(story())
    assert interim.startswith(b"HTTP/1.1 100")
    assert b"POST /a 2" in answer


def test_an_idle_connection_is_closed_without_a_word() -> None:
    """After the idle time the host closes, and sends nothing that could be taken for an answer."""

    async def story() -> bytes:
        async with _listening() as (_, port):
            return await _exchange(port, b"")

    assert asyncio.run(story()) == b""


def test_a_drain_finishes_the_request_that_runs() -> None:
    """A request that was begun before the drain is answered, with a close."""

    async def story() -> bytes:
        async with _listening() as (listener, port):
            asking = asyncio.create_task(_exchange(port, b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n"))
            await asyncio.sleep(0.1)
            await listener.drain(0.0)
            return await asking

    answer = asyncio.run(story())
    assert b"GET /slow 0" in answer
    assert b"connection: close" in answer.lower()


def test_a_drain_leaves_new_connections_to_the_next_host() -> None:
    """Who connects after the drain is served by whoever listens next on the same socket."""

    async def story() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as server:
            first, second = Listener(server, _echo, LIMITS), Listener(server, _echo, LIMITS)
            first.start()
            await first.drain(0.0)
            asking = asyncio.create_task(
                _exchange(server.getsockname()[1], b"GET /b HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            )
            await asyncio.sleep(0.1)
            assert not asking.done()
            second.start()
            answer = await asking
            await second.drain(0.0)
            return answer

    assert b"GET /b 0" in asyncio.run(story())


def test_an_idle_connection_makes_room_at_the_limit() -> None:
    """With as many idle connections as are allowed a new caller is still served."""

    async def story() -> bytes:
        limits = HttpLimits(body_bytes=1000, idle_timeout_s=30.0)
        async with _listening(limits, max_connections=3) as (_, port):
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(5)]
            await asyncio.sleep(0.1)
            answer = await _exchange(port, b"GET /c HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            for _, writer in idle:
                writer.close()
            return answer

    assert b"GET /c 0" in asyncio.run(story())


def test_busy_connections_make_others_wait_not_fail() -> None:
    """At the limit, with nobody idle, new callers wait in the backlog and are served afterwards."""

    async def story() -> list[bytes]:
        request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        async with _listening(max_connections=2) as (_, port):
            return await asyncio.gather(*(_exchange(port, request) for _ in range(4)))

    assert all(b"GET /slow 0" in answer for answer in asyncio.run(story()))
