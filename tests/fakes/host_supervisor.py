"""A supervisor with recorded callbacks, open for as long as a `with` block lasts."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from device_agent.host.supervisor import Supervisor
from fleet_contract.desired import TelemetryPolicy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import numpy as np
    from numpy.typing import NDArray


@dataclass
class Watched:
    """A running supervisor, the windows that it handed over and the crashes that it told of."""

    supervisor: Supervisor
    windows: list[NDArray[np.void]] = field(default_factory=list)
    crashes: list[int] = field(default_factory=list)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self.supervisor.port

    @property
    def pid(self) -> int:
        """The serving host's process id."""
        host = self.supervisor._host
        assert host is not None
        return host._process.pid


@asynccontextmanager
async def watched(**settings: Any) -> AsyncIterator[Watched]:
    """Opens a supervisor and closes it; telemetry windows are short."""
    windows: list[NDArray[np.void]] = []
    crashes: list[int] = []
    settings.setdefault("telemetry", TelemetryPolicy(window_s=0.2, min_frames=5))
    settings.setdefault("drain_grace_s", 1.0)
    supervisor = Supervisor(slot="main", on_windows=windows.append, on_crash=crashes.append, **settings)
    await supervisor.open()
    try:
        yield Watched(supervisor, windows, crashes)
    finally:
        await supervisor.close()
