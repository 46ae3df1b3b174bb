"""Wires the real agent together and runs it as a process: one per state folder, ended gracefully by SIGTERM."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random
import signal
import sys
import time
import uuid
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from device_agent.agent import Agent
from device_agent.clock import TrustedClock, system_now
from device_agent.download import HttpBlobs
from device_agent.http import open_pool
from device_agent.identity import load_identity
from device_agent.intake import SIGNED_AT
from device_agent.link import MqttLink
from device_agent.preflight import run_preflight
from device_agent.profile import detect_profile
from device_agent.runtimes import installed_runtimes
from device_agent.security import SecurityLedger
from device_agent.server_calls import HttpFleetServer
from device_agent.slots import SlotFiles
from device_agent.store import DATABASE_FILE, Store
from device_agent.surroundings import Surroundings
from device_agent.trust import TufTrust
from fleet_contract.desired import DEFAULT_SLOT
from fleet_contract.errors import ConflictError
from fleet_files.durable import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from device_agent.config import AgentConfig
    from device_agent.identity import Identity
    from device_agent.ports import HostFactory, ModelHost, OnCrash, OnWindows
    from fleet_contract.desired import TelemetryPolicy

LOCK_FILE: Final = "agent.lock"


def run_agent(config: AgentConfig) -> None:
    """Runs the agent of an enrolled device until SIGTERM or SIGINT.

    Raises:
        ConfigError: the device is not enrolled.
        ConflictError: another agent uses the state folder.
        StorageError: the state cannot be opened.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    state_dir = make_folder(Path(config.state_dir))
    identity = load_identity(state_dir)
    with single_agent(state_dir):
        store = Store.open(state_dir / DATABASE_FILE, max_bytes=config.max_store_mb * 2**20)
        try:
            asyncio.run(_run(config, identity, store))
        finally:
            store.close()


async def _run(config: AgentConfig, identity: Identity, store: Store) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await Agent(surroundings(config, identity, store)).run(stop)


def surroundings(config: AgentConfig, identity: Identity, store: Store) -> Surroundings:
    """The real ports of one device."""
    state_dir, membership = Path(config.state_dir), identity.membership
    url = config.server_url or membership.server_url
    signed_at = store.meta(SIGNED_AT)
    clock = TrustedClock(system_now, signed_at=datetime.fromisoformat(signed_at) if signed_at else None)
    rng = random.Random(uuid.uuid4().int)  # noqa: S311 - jitter needs no secrecy
    profile = detect_profile(membership.device_id, config, installed_runtimes())
    pool = open_pool(config.ca_file)
    files = SlotFiles(state_dir)
    return Surroundings(
        config=config,
        tenant=membership.tenant,
        profile=profile,
        store=store,
        files=files,
        ledger=SecurityLedger(store, clock.now, time.monotonic),
        clock=clock,
        rng=rng,
        monotonic=time.monotonic,
        trust=TufTrust(state_dir / "trust", identity.root, pool, url, now=clock.now, monotonic=time.monotonic),
        blobs=HttpBlobs(
            pool,
            url,
            membership.http_token,
            files.blobs,
            min_free_bytes=config.min_free_mb * 2**20,
            monotonic=time.monotonic,
        ),
        preflight=run_preflight,
        make_host=host_factory(config),
        link=MqttLink(
            identity,
            agent_version=profile.agent_version,
            new_session_id=lambda: uuid.uuid4().hex,
            now=clock.now,
            monotonic=time.monotonic,
            rng=rng,
        ),
        server=HttpFleetServer(url, membership.http_token, Path(config.ca_file) if config.ca_file else None),
    )


def host_factory(config: AgentConfig) -> HostFactory:
    """Makes real model hosts; the configured port is the default slot's, other slots take free ones."""

    def make(slot: str, telemetry: TelemetryPolicy, on_windows: OnWindows, on_crash: OnCrash) -> ModelHost:
        from device_agent.host.supervisor import Supervisor

        return Supervisor(
            slot=slot,
            bind=config.bind,
            port=config.host_port if slot == DEFAULT_SLOT else 0,
            threads=config.threads,
            memory_limit_mb=config.memory_budget_mb,
            telemetry=telemetry,
            on_windows=on_windows,
            on_crash=on_crash,
        )

    return make


@contextmanager
def single_agent(state_dir: Path) -> Iterator[None]:
    """Holds the state folder's lock; it goes with the process, however that ends.

    Raises:
        ConflictError: another agent holds it.
    """
    descriptor = os.open(state_dir / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(
                f"{state_dir}: another agent runs on this state folder", hint="give each agent its own --state-dir"
            ) from None
        yield
    finally:
        os.close(descriptor)
