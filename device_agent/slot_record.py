"""The durable record of one slot: what runs, what ran before, and the deployment under way or last ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from fleet_contract.codec import UtcTime
from fleet_contract.deployment import CHANGED, TERMINAL, DeploymentError, DeploymentState
from fleet_contract.desired import SlotDesired
from fleet_contract.messages import InstalledRelease, SlotReport
from fleet_contract.names import NameStr

if TYPE_CHECKING:
    from collections.abc import Iterator


class SlotRecord(Struct, frozen=True, kw_only=True):
    """What a slot must still know after a power cut.

    `desired` is the deployment that `state` speaks of; `queued` begins when it has ended. `staged` is the variant
    that won the preflight and is not active yet. `attempts` and `spent_bytes` count downloads of this deployment;
    `starts` counts what probation counts as a crash: a host that died, and an unclean end of the agent.
    """

    slot: NameStr
    since: UtcTime
    state: DeploymentState = DeploymentState.IDLE
    desired: SlotDesired | None = None
    queued: SlotDesired | None = None
    active: InstalledRelease | None = None
    previous: InstalledRelease | None = None
    staged: InstalledRelease | None = None
    error: DeploymentError | None = None
    attempts: int = 0
    spent_bytes: int = 0
    starts: int = 0

    @property
    def pointer_moved(self) -> bool:
        """Whether the active release is the one of a deployment that is not committed yet."""
        return (
            self.state in {*CHANGED, DeploymentState.ROLLING_BACK}
            and self.active is not None
            and self.desired is not None
            and self.active.release_sha256 == self.desired.release_sha256
        )

    def installed(self) -> Iterator[InstalledRelease]:
        """Releases on the disk that this slot runs or may go back to; their files are never collected."""
        yield from (each for each in (self.active, self.previous, self.staged) if each is not None)

    def wanted(self) -> Iterator[str]:
        """Digests of releases whose deployment has not ended; all their files are kept."""
        if self.desired is not None and self.state not in TERMINAL:
            yield self.desired.release_sha256
        if self.queued is not None:
            yield self.queued.release_sha256

    def report(self, host_port: int) -> SlotReport:
        """The slot as `reported` tells it."""
        return SlotReport(
            slot=self.slot,
            deployment_id=self.desired.deployment_id if self.desired else "",
            state=self.state,
            since=self.since,
            target_model=self.desired.model if self.desired else "",
            target_version=self.desired.version if self.desired else 0,
            active=self.active,
            previous=self.previous,
            error=self.error,
            host_port=host_port,
        )
