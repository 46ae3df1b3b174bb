"""All that the slots of one agent share: settings, state, files and the ports to the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from device_agent.clock import TrustedClock
    from device_agent.config import AgentConfig
    from device_agent.ports import BlobSource, FleetServer, HostFactory, Link, Preflight, Trust
    from device_agent.security import SecurityLedger
    from device_agent.slots import SlotFiles
    from device_agent.store import Store
    from fleet_contract.device_profile import DeviceProfile


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Handed to every slot and loop; made in `service`, or by tests with fakes."""

    config: AgentConfig
    tenant: str
    profile: DeviceProfile
    store: Store
    files: SlotFiles
    ledger: SecurityLedger
    clock: TrustedClock
    rng: random.Random
    monotonic: Callable[[], float]
    trust: Trust
    blobs: BlobSource
    preflight: Preflight
    make_host: HostFactory
    link: Link
    server: FleetServer
    probation_poll_s: float = 0.5

    @property
    def device_id(self) -> str:
        """This device's id, which is also its client id at the broker."""
        return self.profile.device_id
