"""The types of the REST API under `/api/v1`, shared by the server, its client and users' scripts.

Errors are RFC 9457 problem details (`Problem`); lists are pages with an opaque cursor.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Generic, TypeVar

from msgspec import Meta, Struct

from fleet_contract.codec import UtcTime
from fleet_contract.deployment import DeploymentError, DeploymentState
from fleet_contract.desired import DownloadPolicy, PreflightPolicy, ProbationPolicy
from fleet_contract.device_profile import DeviceProfile
from fleet_contract.messages import CommandName, SlotReport
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.release import ReleaseManifest, Version
from fleet_contract.rollout import OnFailure, RolloutState, StagePlan, StageState

T = TypeVar("T")


class Problem(Struct, frozen=True, kw_only=True):
    """An error as RFC 9457 says; `code` is stable, `hint` tells what to do next."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str = ""
    code: str = ""
    hint: str = ""


class Page(Struct, Generic[T], frozen=True, kw_only=True):
    """A page of a list; `next` is the cursor of the page after it, empty at the end."""

    items: list[T]
    next: str = ""


class Role(StrEnum):
    """What a token may do. Each role may do what the ones before it may; `device` stands apart."""

    VIEWER = "viewer"
    PUBLISHER = "publisher"
    DEPLOYER = "deployer"
    ADMIN = "admin"


class UserCreate(Struct, frozen=True, kw_only=True):
    """A new user."""

    name: NameStr
    role: Role


class UserCreated(Struct, frozen=True, kw_only=True):
    """A user's token: shown once, stored only as a hash."""

    name: NameStr
    role: Role
    token: str


class UserView(Struct, frozen=True, kw_only=True):
    """A user without secrets."""

    name: NameStr
    role: Role
    created_at: UtcTime


class ClaimCreate(Struct, frozen=True, kw_only=True):
    """Asks for a one-time claim for a device that does not exist yet."""

    device_id: NameStr
    labels: dict[str, str] = {}
    ttl_s: Annotated[float, Meta(gt=0.0, le=30 * 86400.0)] = 86400.0


class ClaimCreated(Struct, frozen=True, kw_only=True):
    """The claim token: `efc1.<secret>.<sha256 of root.json>`, so that a device can check whom it enrols with."""

    device_id: NameStr
    token: str
    expires_at: UtcTime


class EnrolRequest(Struct, frozen=True, kw_only=True):
    """What a device sends once: its claim, a certificate request (PEM) for a key that stays on it, its profile."""

    claim: str
    csr_pem: str
    profile: DeviceProfile


class BrokerAddress(Struct, frozen=True, kw_only=True):
    """Where devices find the broker."""

    host: str
    port: int
    tls: bool
    """With TLS the device proves itself by its certificate (mTLS)."""


class EnrolResponse(Struct, frozen=True, kw_only=True):
    """What makes a device a member of the fleet. `http_token` is for blobs, metadata and samples."""

    device_id: NameStr
    tenant: NameStr
    certificate_pem: str
    ca_pem: str
    http_token: str
    root_json: str
    broker: BrokerAddress


class ReleasePublish(Struct, frozen=True, kw_only=True):
    """Publishes a release whose blobs (and manifest, as a blob too) are already uploaded.

    `targets_json` is the model family's TUF targets metadata (version + 1), signed by the family's release key.
    """

    release_sha256: Sha256Str
    targets_json: str


class ReleaseView(Struct, frozen=True, kw_only=True):
    """A release in the registry."""

    model: NameStr
    version: Version
    release_sha256: Sha256Str
    published_at: UtcTime
    published_by: str
    aliases: tuple[str, ...] = ()
    manifest: ReleaseManifest


class DeviceView(Struct, frozen=True, kw_only=True):
    """A device as the server knows it."""

    device_id: NameStr
    online: bool
    last_seen_at: UtcTime | None = None
    labels: dict[str, str] = {}
    profile: DeviceProfile | None = None
    desired_rev: int = 0
    reported_rev: int = 0
    slots: tuple[SlotReport, ...] = ()
    agent_rss_mb: float = 0.0
    host_rss_mb: float = 0.0
    drift_score: float = 0.0
    """Hotelling T2 of the last window over its threshold: above 1 is unusual; 0 while there is no baseline."""
    drifted: bool = False


class DeviceEventView(Struct, frozen=True, kw_only=True):
    """One line of a device's history."""

    device_id: NameStr
    seq: int
    at: UtcTime
    slot: str
    deployment_id: str
    event: str
    from_state: DeploymentState
    to_state: DeploymentState
    model: str
    version: int
    variant: str
    error: DeploymentError | None = None
    detail: str = ""


class LabelsPatch(Struct, frozen=True, kw_only=True):
    """New labels of a device; a label with an empty value is removed."""

    labels: dict[str, str]


class CommandCreate(Struct, frozen=True, kw_only=True):
    """A command to one device."""

    name: CommandName
    slot: NameStr = "main"
    deployment_id: str = ""
    max_samples: Annotated[int, Meta(ge=0, le=10_000)] = 0
    max_bytes: Annotated[int, Meta(ge=0)] = 0
    duration_s: Annotated[float, Meta(ge=0.0)] = 0.0
    request_id: str = ""
    ttl_s: Annotated[float, Meta(gt=0.0)] = 300.0


class CommandView(Struct, frozen=True, kw_only=True):
    """A command and, once it came, the device's answer."""

    id: str
    device_id: NameStr
    name: CommandName
    issued_at: UtcTime
    accepted: bool | None = None
    code: str = ""
    detail: str = ""


class RolloutCreate(Struct, frozen=True, kw_only=True):
    """Asks to bring a release to devices. `selector` maps labels (or `hardware`) to required values; empty: all.

    `stages` empty takes canary, quarter, all. `rollback_version` 0 takes what each device ran before.
    """

    model: NameStr
    version: Version
    slot: NameStr = "main"
    selector: dict[str, str] = {}
    stages: tuple[StagePlan, ...] = ()
    on_failure: OnFailure = OnFailure.ROLL_BACK
    probation: ProbationPolicy = ProbationPolicy()
    preflight: PreflightPolicy = PreflightPolicy()
    download: DownloadPolicy = DownloadPolicy()
    approval: bool = False


class StageView(Struct, frozen=True, kw_only=True):
    """A stage and its counts of devices by state."""

    name: str
    state: StageState
    plan: StagePlan
    device_count: int
    counts: dict[str, int] = {}
    started_at: UtcTime | None = None
    ended_at: UtcTime | None = None
    reason: str = ""


class RolloutView(Struct, frozen=True, kw_only=True):
    """A rollout with its stages."""

    id: str
    model: NameStr
    version: Version
    slot: NameStr
    state: RolloutState
    reason: str = ""
    created_at: UtcTime
    created_by: str
    ended_at: UtcTime | None = None
    stages: tuple[StageView, ...] = ()


class RolloutDeviceView(Struct, frozen=True, kw_only=True):
    """One device in a rollout."""

    device_id: NameStr
    stage: str
    state: DeploymentState
    variant: str = ""
    updated_at: UtcTime
    error: DeploymentError | None = None


class AlertView(Struct, frozen=True, kw_only=True):
    """An alert. `kind` is a word such as `input-drift`, `model-drift`, `rollout-failed`, `security`."""

    id: int
    at: UtcTime
    kind: str
    severity: str
    model: str = ""
    version: int = 0
    device_ids: tuple[str, ...] = ()
    summary: str = ""
    resolved_at: UtcTime | None = None


class WindowView(Struct, frozen=True, kw_only=True):
    """One telemetry window, summed up for people and charts."""

    device_id: NameStr
    at: UtcTime
    model_version: int
    count: int
    errors: int
    invalid: int
    latency_p50_ms: float
    latency_p95_ms: float
    mean_confidence: float
    rss_mb: float
    drift_score: float = 0.0
    drifted: bool = False


class RetrainState(StrEnum):
    """Where a retrain request is."""

    COLLECTING = "collecting"
    OPEN = "open"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"
    CANCELED = "canceled"


class RetrainView(Struct, frozen=True, kw_only=True):
    """A request for a new iteration. It is COLLECTING until samples are labelled (or its owner opens it)."""

    id: str
    model: NameStr
    reason: str
    state: RetrainState
    created_at: UtcTime
    alert_id: int = 0
    base_version: int = 0
    device_ids: tuple[str, ...] = ()
    sample_count: int = 0
    labelled_count: int = 0
    lease_owner: str = ""
    lease_expires_at: UtcTime | None = None
    result_version: int = 0
    rollout_id: str = ""
    detail: str = ""


class RetrainCreate(Struct, frozen=True, kw_only=True):
    """A retrain request by hand; without `device_ids` no samples are collected and it is OPEN at once."""

    model: NameStr
    reason: str
    device_ids: tuple[NameStr, ...] = ()


class LeaseRequest(Struct, frozen=True, kw_only=True):
    """A worker asks for the oldest open request of one of `models` (empty: any)."""

    owner: str
    models: tuple[NameStr, ...] = ()
    lease_s: Annotated[float, Meta(gt=0.0, le=86400.0)] = 120.0


class LeaseRenew(Struct, frozen=True, kw_only=True):
    """A worker is still at it; only the owner of the lease may say so."""

    owner: str
    lease_s: Annotated[float, Meta(gt=0.0, le=86400.0)] = 120.0


class RetrainResult(Struct, frozen=True, kw_only=True):
    """How a leased request ended. `version` 0 with `failed` when no release came of it."""

    owner: str
    failed: bool = False
    version: int = 0
    rollout_id: str = ""
    detail: str = ""


class SampleView(Struct, frozen=True, kw_only=True):
    """An input that a device sent home. `label` is empty until somebody gave one."""

    id: str
    device_id: NameStr
    model: NameStr
    version: Version
    request_id: str = ""
    captured_at: UtcTime
    predicted: str
    confidence: float
    chosen: str
    """Why the device chose it: `random` or `margin`."""
    sha256: Sha256Str
    """Of the raw tensor's bytes (C order)."""
    dtype: str
    shape: tuple[int, ...]
    label: str = ""


class SampleUpload(Struct, frozen=True, kw_only=True):
    """One sample in an upload: the raw input as base64 with what the model said of it."""

    captured_at: UtcTime
    model: NameStr
    version: Version
    predicted: str
    confidence: float
    chosen: str
    dtype: str
    shape: tuple[int, ...]
    data: str


class SampleBatch(Struct, frozen=True, kw_only=True):
    """What a device sends to `POST /api/v1/samples`; the same sample twice is stored once."""

    request_id: str
    samples: tuple[SampleUpload, ...]


class LabelSample(Struct, frozen=True, kw_only=True):
    """A label by a person or a program, with its name for the record."""

    label: str


class AuditView(Struct, frozen=True, kw_only=True):
    """One entry of the append-only log; `hash` covers the entry and the hash before it."""

    id: int
    at: UtcTime
    actor: str
    action: str
    subject: str
    detail: str = ""
    hash: str


class ModelStatus(Struct, frozen=True, kw_only=True):
    """How many devices run a version."""

    model: NameStr
    version: Version
    devices: int


class FleetStatus(Struct, frozen=True, kw_only=True):
    """`GET /api/v1/fleet/status`."""

    at: UtcTime
    server_version: str
    broker: str
    devices: int
    online: int
    drifted: int
    models: tuple[ModelStatus, ...] = ()
    rollouts: tuple[RolloutView, ...] = ()
    """Those that have not ended, and the last one that has."""
    open_alerts: int = 0
    open_retrain_requests: int = 0
    members: tuple[DeviceView, ...] = ()
