"""uvicorn in our own event loop: bound before anything else starts, stopped without cutting answers off."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any, Final

import uvicorn

from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from fleet_server.config import ServerConfig

STOP_TIMEOUT_S: Final = 5
BACKLOG: Final = 512


class _Uvicorn(uvicorn.Server):
    """Leaves signals to us: the whole server ends together, not its HTTP side alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address cannot be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only then; without it small answers wait 40 ms.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise ConfigError(
            f"http: cannot listen on {host}:{port}: {error.strerror}", hint="is a server running there already?"
        ) from error
    listening.setblocking(False)  # noqa: FBT003 -- the socket module's own signature
    return listening


def address_of(listening: socket.socket, config: ServerConfig) -> str:
    """The URL by which people and devices reach the socket."""
    if config.public_url:
        return config.public_url.rstrip("/")
    host, port = listening.getsockname()[:2]
    scheme = "https" if config.tls_certificate else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


@contextlib.asynccontextmanager
async def serving(application: Any, listening: socket.socket, config: ServerConfig) -> AsyncIterator[None]:
    """Serves `application` on the socket until the context ends.

    Raises:
        ConfigError: the TLS certificate cannot be read.
    """
    try:
        settings = uvicorn.Config(
            application,
            http="h11",
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=STOP_TIMEOUT_S,
            ssl_certfile=config.tls_certificate,
            ssl_keyfile=config.tls_key,
        )
        settings.load()
    except OSError as error:
        raise ConfigError(f"tls_certificate: {error}", hint="a PEM file that this user may read") from error
    server = _Uvicorn(settings)
    task = asyncio.create_task(server.serve(sockets=[listening]), name="http")
    try:
        yield  # the socket listens already: who connects before uvicorn is up waits in its backlog
    finally:
        server.should_exit = True
        await task
