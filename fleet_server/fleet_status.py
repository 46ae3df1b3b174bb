"""The fleet at a glance, kept ready: rebuilt only after a change, encoded once, the same bytes for every reader.

A big fleet changes all the time, so a rebuild that took T is not repeated within 4 T: at most a fifth of one core
goes into it, however many people look.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

from fleet_contract.api import FleetStatus, ModelStatus, RolloutView
from fleet_contract.codec import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from fleet_contract.api import DeviceView
    from fleet_server.changes import Change, Changes
    from fleet_server.clock import Clock
    from fleet_server.devices import Devices

REST_FACTOR: Final = 4.0
UNSEEN: Final = frozenset({"audit", "command", "command-result", "sample", "window"})
"""Kinds of change that the status does not show."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the status gets what it counts."""

    devices: Devices
    rollouts: Callable[[], list[RolloutView]]
    """Those that have not ended, and the last one that has."""
    open_alerts: Callable[[], int]
    open_retrain_requests: Callable[[], int]
    broker: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The status with its bytes and their validator."""

    status: FleetStatus
    body: bytes
    etag: str


class FleetStatusBoard:
    """The status, rebuilt when it is asked for and something changed since."""

    def __init__(self, sources: Sources, changes: Changes, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._lock = threading.Lock()
        self._life = secrets.token_hex(4)
        self._built = 0
        self._changed = True
        self._next_build_s = 0.0
        self._snapshot: Snapshot | None = None
        changes.listen(self._note)

    def snapshot(self) -> Snapshot:
        """The present status. May read the database: not for an event loop."""
        with self._lock:
            started_s = time.monotonic()
            if self._snapshot is None or (self._changed and started_s >= self._next_build_s):
                self._changed = False
                self._snapshot = self._build()
                ended_s = time.monotonic()
                self._next_build_s = ended_s + REST_FACTOR * (ended_s - started_s)
            return self._snapshot

    def _note(self, change: Change) -> None:
        if change.kind not in UNSEEN:
            self._changed = True

    def _build(self) -> Snapshot:
        devices = self._sources.devices.page()
        status = FleetStatus(
            at=self._clock.now(),
            server_version=version("edgeferry"),
            broker=self._sources.broker(),
            devices=len(devices),
            online=sum(device.online for device in devices),
            drifted=sum(device.drifted for device in devices),
            models=count_models(devices),
            rollouts=tuple(self._sources.rollouts()),
            open_alerts=self._sources.open_alerts(),
            open_retrain_requests=self._sources.open_retrain_requests(),
            members=tuple(devices),
        )
        self._built += 1
        return Snapshot(status, encode(status), f'"{self._life}-{self._built}"')


def count_models(devices: Iterable[DeviceView]) -> tuple[ModelStatus, ...]:
    """How many devices run each version, by their active releases."""
    running = Counter(
        (slot.active.model, slot.active.version) for device in devices for slot in device.slots if slot.active
    )
    return tuple(
        ModelStatus(model=model, version=number, devices=count) for (model, number), count in sorted(running.items())
    )
