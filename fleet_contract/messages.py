"""The JSON messages of MQTT, one type each. Binary telemetry is in `telemetry`, signed ones in `signing`.

Unknown fields are ignored on reading. Every message carries `schema`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from fleet_contract.codec import UtcTime
from fleet_contract.deployment import DeploymentError, DeploymentState
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.release import Version


class DeviceStatus(Struct, frozen=True, kw_only=True):
    """Birth and will on `status`, retained. A will counts only when its session is the one last born."""

    schema: int = 1
    session_id: str
    online: bool
    agent_version: str = ""
    at: UtcTime | None = None
    """None in a will, whose time the device cannot know."""


class ServerStatus(Struct, frozen=True, kw_only=True):
    """The server's own birth and will on `server/status`, retained."""

    schema: int = 1
    session_id: str
    online: bool
    at: UtcTime | None = None


class InstalledRelease(Struct, frozen=True, kw_only=True):
    """A release that is on a device."""

    model: NameStr
    version: Version
    variant: NameStr
    release_sha256: Sha256Str


class SlotReport(Struct, frozen=True, kw_only=True):
    """A slot's full state: its latest deployment and what is installed."""

    slot: NameStr
    deployment_id: str
    state: DeploymentState
    since: UtcTime
    target_model: str = ""
    target_version: int = 0
    active: InstalledRelease | None = None
    previous: InstalledRelease | None = None
    error: DeploymentError | None = None
    host_port: int = 0
    """Loopback port of the model host's REST API; 0 while none serves."""


class Reported(Struct, frozen=True, kw_only=True):
    """`reported`, retained: enough to rebuild all that the server knows of the device."""

    schema: int = 1
    seq: Annotated[int, Meta(ge=0)]
    """Shared with events: a `reported` with a lower seq than one already taken is stale."""
    at: UtcTime
    desired_rev: int
    slots: tuple[SlotReport, ...] = ()
    metadata_age_s: float = 0.0
    agent_rss_mb: float = 0.0
    host_rss_mb: float = 0.0


class Event(Struct, frozen=True, kw_only=True):
    """`event`: one state transition, from the durable outbox; upserted by (device, seq)."""

    schema: int = 1
    seq: Annotated[int, Meta(ge=1)]
    at: UtcTime
    slot: NameStr
    deployment_id: str
    event: str
    from_state: DeploymentState
    to_state: DeploymentState
    model: str = ""
    version: int = 0
    variant: str = ""
    error: DeploymentError | None = None
    detail: str = ""


class CommandName(StrEnum):
    """What the server can ask of a device besides its desired state."""

    REFRESH = "refresh"
    CANCEL = "cancel"
    ROLL_BACK = "roll-back"
    COLLECT = "collect"


class Command(Struct, frozen=True, kw_only=True):
    """The payload of a signed document on `cmd`. A device carries out an id once, and none after `expires_at`."""

    schema: int = 1
    id: str
    device_id: NameStr
    name: CommandName
    issued_at: UtcTime
    expires_at: UtcTime
    slot: NameStr = "main"
    deployment_id: str = ""
    max_samples: Annotated[int, Meta(ge=0, le=10_000)] = 0
    """For `collect`."""
    max_bytes: Annotated[int, Meta(ge=0)] = 0
    """For `collect`: the byte budget of all uploads."""
    duration_s: Annotated[float, Meta(ge=0.0)] = 0.0
    """For `collect`: how long inputs are looked at before the chosen ones are sent."""
    request_id: str = ""
    """For `collect`: the retrain request that the samples are for."""


class CommandResult(Struct, frozen=True, kw_only=True):
    """The answer on `cmd/res`."""

    schema: int = 1
    id: str
    accepted: bool
    code: str = ""
    detail: str = ""
    at: UtcTime


class Hint(Struct, frozen=True, kw_only=True):
    """`group/{g}/hint`: something changed; refresh at a random moment within `jitter_s`."""

    schema: int = 1
    reason: str
    jitter_s: Annotated[float, Meta(ge=0.0)] = 30.0


class SecurityReport(Struct, frozen=True, kw_only=True):
    """A refusal that is a security matter (a tampered blob or document), as an event for the audit log.

    Sent on `event` in place of `Event`; told apart by `refused`, which no `Event` has.
    """

    schema: int = 1
    seq: Annotated[int, Meta(ge=1)]
    at: UtcTime
    refused: str
    """What was refused: `desired`, `command`, `release`, `blob` or `metadata`."""
    code: str
    detail: str
    slot: str = ""
    deployment_id: str = ""


class EventKind(Struct, frozen=True, kw_only=True):
    """Only what tells an `Event` from a `SecurityReport`."""

    refused: str | UnsetType = UNSET
