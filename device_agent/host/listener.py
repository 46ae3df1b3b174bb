"""Accepts connections on a listening socket that several processes share, and lets go of it without losing one.

Rules: a connection is accepted only in the moment it is served, so none is lost when accepting stops: it stays in the
socket's backlog for the next host. At the limit of connections the longest idle one makes room; when none is idle,
new ones wait in the backlog.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from typing import TYPE_CHECKING, Final

from device_agent.host.http import HttpConnection

if TYPE_CHECKING:
    from device_agent.host.http import Handler, HttpLimits

MAX_CONNECTIONS: Final = 256
IN_FLIGHT_LIMIT_S: Final = 30.0
_PAUSE_S: Final = 0.5
_log: Final = logging.getLogger(__name__)


class Listener:
    """Serves `handler` on `listening`, which it does not own."""

    def __init__(
        self,
        listening: socket.socket,
        handler: Handler,
        limits: HttpLimits,
        *,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._listening = listening
        self._handler = handler
        self._limits = limits
        self._max_connections = max_connections
        self._connections: dict[HttpConnection, asyncio.Task[None]] = {}
        self._draining = False
        self._accepting = False

    def start(self) -> None:
        """Begins to accept."""
        self._listening.settimeout(0)
        self._resume()

    async def drain(self, grace_s: float) -> None:
        """Stops accepting, answers what comes on open connections for `grace_s`, then ends them.

        Requests that run by then are finished, for IN_FLIGHT_LIMIT_S at most.
        """
        self._draining = True
        self._pause()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=grace_s)
        for connection in self._connections:
            connection.wake()
        if self._connections:
            await asyncio.wait(self._connections.values(), timeout=IN_FLIGHT_LIMIT_S)
        for task in self._connections.values():
            task.cancel()

    def _resume(self) -> None:
        if not self._accepting and not self._draining:
            asyncio.get_running_loop().add_reader(self._listening, self._accept)
            self._accepting = True

    def _pause(self) -> None:
        if self._accepting:
            asyncio.get_running_loop().remove_reader(self._listening)
            self._accepting = False

    def _accept(self) -> None:
        if len(self._connections) >= self._max_connections and not self._make_room():
            self._pause()
            return
        try:
            peer, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return
        except OSError as error:
            _log.warning("accept-failed error=%s", error)
            self._pause()
            asyncio.get_running_loop().call_later(_PAUSE_S, self._resume)
            return
        self._serve(peer)

    def _serve(self, peer: socket.socket) -> None:
        peer.settimeout(0)
        if peer.family in (socket.AF_INET, socket.AF_INET6):
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = HttpConnection(peer, self._handler, self._limits, lambda: self._draining)
        task = asyncio.get_running_loop().create_task(connection.serve())
        self._connections[connection] = task
        task.add_done_callback(lambda _: self._ended(connection))

    def _ended(self, connection: HttpConnection) -> None:
        task = self._connections.pop(connection)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("connection-failed", exc_info=error)
        self._resume()

    def _make_room(self) -> bool:
        for connection in self._connections:
            if connection.idle:
                connection.wake()
                return True
        return False
