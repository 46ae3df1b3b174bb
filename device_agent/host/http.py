"""HTTP/1.1 on one accepted connection: h11 for the protocol, a non-blocking socket for the bytes.

Rules: every wait has a time limit, every size a bound; nothing that the peer sent is thrown away by a close of ours:
an idle connection is looked at once more before it is closed, and a last answer is followed by a lingering close.
"""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import h11

from fleet_contract.codec import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Handler = Callable[["HttpRequest"], Awaitable["HttpResponse"]]

JSON: Final = "application/json"
_READ_BYTES: Final = 64 * 1024
_LINGER_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One whole request; `path` is without the query."""

    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """One whole response."""

    status: int
    body: bytes
    content_type: str = JSON
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds of one connection; times in seconds."""

    body_bytes: int
    header_bytes: int = 16 * 1024
    read_timeout_s: float = 10.0
    idle_timeout_s: float = 60.0
    write_timeout_s: float = 10.0


class _RefusedError(Exception):
    """The request is answered with this status, and the connection is closed."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.response = HttpResponse(status, encode({"error": reason}))


class HttpConnection:
    """Serves requests one after another until either side ends it; `closing` is asked before every answer."""

    def __init__(self, peer: socket.socket, handler: Handler, limits: HttpLimits, closing: Callable[[], bool]) -> None:
        self._peer = peer
        self._handler = handler
        self._limits = limits
        self._closing = closing
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.header_bytes)
        self._waiting: asyncio.Future[bool] | None = None
        self._idle = False

    @property
    def idle(self) -> bool:
        """Whether it waits for the first byte of a request."""
        return self._idle

    def wake(self) -> None:
        """Ends an idle connection, unless a request has come by now, which is still answered."""
        if self._idle and self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(False)

    async def serve(self) -> None:
        """Runs until the connection is closed. Never raises for what the peer does."""
        try:
            while await self._serve_one():
                self._protocol.start_next_cycle()
            await self._linger()
        except (ConnectionError, TimeoutError, h11.LocalProtocolError):
            return
        finally:
            self._peer.close()

    async def _serve_one(self) -> bool:
        """Whether another request may follow."""
        try:
            request = await self._read_request()
            if request is None:
                return False
            response = await self._handler(request)
        except h11.RemoteProtocolError as error:
            response = _RefusedError(error.error_status_hint, f"request: {error}").response
        except _RefusedError as refused:
            response = refused.response
        whole = self._protocol.their_state is h11.DONE
        close = self._closing() or not whole
        await self._send(response, close=close)
        return not close and self._protocol.our_state is h11.DONE

    async def _read_request(self) -> HttpRequest | None:
        """The next request; None when the peer closed, or was idle for too long."""
        self._idle = self._protocol.trailing_data == (b"", False)
        try:
            event = self._protocol.next_event()
            if event is h11.NEED_DATA and not await self._read(self._limits.idle_timeout_s):
                return None
        except TimeoutError:
            return None
        finally:
            self._idle = False
        try:
            async with asyncio.timeout(self._limits.read_timeout_s):
                return await self._read_rest(event)
        except TimeoutError as error:
            raise _RefusedError(408, "the request did not come in time") from error

    async def _read_rest(self, event: object) -> HttpRequest | None:
        head: h11.Request | None = None
        body = bytearray()
        while True:
            if event is h11.NEED_DATA:
                if self._protocol.they_are_waiting_for_100_continue:
                    await self._write(self._protocol.send(h11.InformationalResponse(status_code=100, headers=[])))
                event = await self._next_event()
            if isinstance(event, h11.Request):
                head = event
                self._check_length(head)
            elif isinstance(event, h11.Data):
                body += event.data
                self._check_size(len(body))
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                path = head.target.partition(b"?")[0].decode("latin-1")
                return HttpRequest(head.method.decode("ascii"), path, bytes(body))
            else:
                return None
            event = self._protocol.next_event()

    async def _next_event(self) -> object:
        """The next event, after reading as much as it takes."""
        event = self._protocol.next_event()
        while event is h11.NEED_DATA:
            await self._read(None)
            event = self._protocol.next_event()
        return event

    def _check_length(self, head: h11.Request) -> None:
        for name, value in head.headers:
            if name == b"content-length":
                self._check_size(int(value))

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._limits.body_bytes:
            raise _RefusedError(413, f"body: got {size_bytes} bytes, expected at most {self._limits.body_bytes} bytes")

    async def _read(self, timeout_s: float | None) -> bool:
        """Takes what the peer sent, waiting for it; False when it closed, or when `wake` found nothing."""
        data = self._take()
        if data is None:
            async with asyncio.timeout(timeout_s):
                while data is None and await self._readable():
                    data = self._take()
            data = self._take() if data is None else data
        if data is None:
            return False
        self._protocol.receive_data(data)
        return bool(data)

    def _take(self) -> bytes | None:
        try:
            return self._peer.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return None

    async def _readable(self) -> bool:
        """Waits for bytes; False when `wake` came first."""
        loop = asyncio.get_running_loop()
        self._waiting = waiting = loop.create_future()
        loop.add_reader(self._peer, _resolve, waiting)
        try:
            woken: bool = await waiting
            return woken
        finally:
            loop.remove_reader(self._peer)
            self._waiting = None

    async def _send(self, response: HttpResponse, *, close: bool) -> None:
        headers = [
            ("Content-Type", response.content_type),
            ("Content-Length", str(len(response.body))),
            *response.headers,
        ]
        if close:
            headers.append(("Connection", "close"))
        head = self._protocol.send(
            h11.Response(status_code=response.status, headers=headers, reason=HTTPStatus(response.status).phrase)
        )
        body = self._protocol.send(h11.Data(data=response.body))
        end = self._protocol.send(h11.EndOfMessage())
        await self._write(b"".join(part or b"" for part in (head, body, end)))

    async def _write(self, data: bytes | None) -> None:
        if data:
            async with asyncio.timeout(self._limits.write_timeout_s):
                await asyncio.get_running_loop().sock_sendall(self._peer, data)

    async def _linger(self) -> None:
        """Half-closes and reads on for a moment, so that the kernel does not reset what was just sent."""
        try:
            self._peer.shutdown(socket.SHUT_WR)
            async with asyncio.timeout(_LINGER_S):
                while await self._readable() and self._take() != b"":
                    pass
        except (OSError, TimeoutError):
            return


def _resolve(waiting: asyncio.Future[bool]) -> None:
    if not waiting.done():
        waiting.set_result(True)
