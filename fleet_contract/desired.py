"""The desired document: the whole state that one device should be in, signed by the director.

It holds no bytes of a model and no secret. A device takes it only when the signature holds, `device_id` is its
own, `rev` is higher than the last it took, and it has not expired; expiry never stops inference.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from fleet_contract.codec import UtcTime
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.release import Fraction, Version

DEFAULT_SLOT: Final = "main"


class ProbationPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an activated release is committed, and when it is rolled back.

    Commit needs `min_duration_s` AND `min_inferences` healthy inferences in at least as many requests AND the server
    reachable; when `max_duration_s` passes without them, the release is rolled back. Fractions are of requests in
    probation and count only from `min_inferences` requests on. `max_latency_p95_ms` 0 means no limit.
    """

    min_duration_s: Annotated[float, Meta(ge=0.0)] = 60.0
    max_duration_s: Annotated[float, Meta(gt=0.0)] = 3600.0
    min_inferences: Annotated[int, Meta(ge=0)] = 50
    max_error_fraction: Fraction = 0.02
    max_invalid_fraction: Fraction = 0.005
    max_latency_p95_ms: Annotated[float, Meta(ge=0.0)] = 0.0
    max_crashes: Annotated[int, Meta(ge=1)] = 3


class PreflightPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Budgets that a variant must keep on this board; 0 means no limit."""

    max_latency_p95_ms: Annotated[float, Meta(ge=0.0)] = 0.0
    max_rss_mb: Annotated[float, Meta(ge=0.0)] = 0.0
    time_limit_s: Annotated[float, Meta(gt=0.0)] = 120.0


class DownloadPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps per deployment: tries in all, and bytes in all (0: four times the release's size)."""

    max_attempts: Annotated[int, Meta(ge=1, le=100)] = 5
    max_bytes: Annotated[int, Meta(ge=0)] = 0


class SlotDesired(Struct, frozen=True, kw_only=True):
    """The release that one slot should run, and under which policies."""

    slot: NameStr
    deployment_id: str
    model: NameStr
    version: Version
    release_sha256: Sha256Str
    """Of release.json; the same digest must stand in the TUF target."""
    min_version: int = 0
    """The slot's floor: releases below it are refused."""
    probation: ProbationPolicy = ProbationPolicy()
    preflight: PreflightPolicy = PreflightPolicy()
    download: DownloadPolicy = DownloadPolicy()


class TelemetryPolicy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often windows close and go home; one with fewer frames than `min_frames` merges into the next."""

    window_s: Annotated[float, Meta(gt=0.0)] = 60.0
    publish_every_s: Annotated[float, Meta(gt=0.0)] = 60.0
    min_frames: Annotated[int, Meta(ge=1)] = 30


class Desired(Struct, frozen=True, kw_only=True):
    """The payload of `desired`."""

    schema: int = 1
    device_id: NameStr
    rev: Annotated[int, Meta(ge=1)]
    issued_at: UtcTime
    expires_at: UtcTime
    slots: tuple[SlotDesired, ...] = ()
    telemetry: TelemetryPolicy = TelemetryPolicy()
    sampling_allowed: bool = False
    """Whether this device may keep and upload inputs when a `collect` command asks; off by default (privacy)."""
