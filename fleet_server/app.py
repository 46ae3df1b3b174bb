"""The server as a whole: what runs beside what, and in which order all of it begins and ends.

async with running_server(config) as server:
    print(server.http_url, server.broker.address)
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet_contract.errors import UnreachableError
from fleet_server.broker.choose import start_broker
from fleet_server.broker.running import BrokerTls
from fleet_server.clock import SystemClock
from fleet_server.http_server import address_of, bind, serving
from fleet_server.migrations.upgrade import upgrade
from fleet_server.parts import Parts
from fleet_server.state_folder import owned, remember_port, remembered_port
from fleet_server.storage.database import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from pathlib import Path

    from fleet_server.broker.running import RunningBroker
    from fleet_server.clock import Clock
    from fleet_server.config import ServerConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. `made_admin` is whether the admin's token file is new."""

    http_url: str
    broker: RunningBroker
    admin_token_file: Path
    made_admin: bool
    failed: asyncio.Future[None]
    """Done, with the error, when a part that must run has ended."""


@contextlib.asynccontextmanager
async def running_server(config: ServerConfig, clock: Clock | None = None) -> AsyncIterator[RunningServer]:
    """A whole server that ends, in order, with the context.

    Raises:
        ConfigError: an address is taken, or a broker cannot be used.
        ConflictError: another server runs on the state folder.
        TrustError: the keys are missing or do not hold.
        StorageError: the disk or the database cannot be written.
    """
    clock = clock or SystemClock()
    async with contextlib.AsyncExitStack() as stack:
        state_dir = stack.enter_context(owned(config.state_dir))
        listening = stack.enter_context(contextlib.closing(bind(config.http_host, config.http_port)))
        database = stack.enter_context(contextlib.closing(Database(config.sql_url)))
        await asyncio.to_thread(upgrade, database)
        broker = await asyncio.to_thread(_start_broker, config, state_dir)
        stack.push_async_callback(asyncio.to_thread, broker.stop)
        parts = await asyncio.to_thread(Parts, config, database, clock, broker)
        made_admin = await asyncio.to_thread(parts.users.make_first_admin, config.admin_token_file)
        if parts.webhook:
            parts.webhook.start()
            stack.push_async_callback(asyncio.to_thread, parts.webhook.stop)
        stack.push_async_callback(asyncio.to_thread, parts.gateway.stop)
        parts.gateway.start()
        failed = await stack.enter_async_context(_running(parts.tasks()))
        await stack.enter_async_context(serving(parts.application(), listening, config))
        stack.callback(parts.changes.close)  # first of all: readers of the stream leave, so that HTTP can end
        yield RunningServer(address_of(listening, config), broker, config.admin_token_file, made_admin, failed)


def _start_broker(config: ServerConfig, state_dir: Path) -> RunningBroker:
    online = config.keys_dir / "online"
    tls = BrokerTls(ca_cert=online / "ca.crt", ca_key=online / "ca.pem")
    port = config.broker_port or remembered_port(state_dir)
    broker = start_broker(
        config.broker,
        state_dir=state_dir,
        tls=tls if tls.ca_key.exists() else None,
        host=config.broker_host,
        port=port,
        tenant=config.tenant,
    )
    remember_port(state_dir, broker.address.port)
    return broker


@contextlib.asynccontextmanager
async def _running(tasks: dict[str, Callable[[], Coroutine[None, None, None]]]) -> AsyncIterator[asyncio.Future[None]]:
    """Runs `tasks` until the context ends; the future fails when one of them ends before."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def note(task: asyncio.Task[None]) -> None:
        if not task.cancelled() and not failed.done():
            error = task.exception() or UnreachableError(f"{task.get_name()}: ended by itself")
            log.error("part ended name=%s", task.get_name(), exc_info=error)
            failed.set_exception(error)

    running = [asyncio.create_task(run(), name=name) for name, run in tasks.items()]
    for task in running:
        task.add_done_callback(note)
    try:
        yield failed
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        failed.cancel()
        if failed.done() and not failed.cancelled():
            failed.exception()  # somebody has looked at it, so that the loop does not complain


def run_server(config: ServerConfig, announce: Callable[[RunningServer], None]) -> None:
    """Runs until SIGINT or SIGTERM, then ends everything in order. Raises as `running_server` does."""
    asyncio.run(_run_until_signal(config, announce))


async def _run_until_signal(config: ServerConfig, announce: Callable[[RunningServer], None]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with running_server(config) as server:
        announce(server)
        server.failed.add_done_callback(lambda _: stop.set())
        await stop.wait()
        if server.failed.done():
            server.failed.result()
