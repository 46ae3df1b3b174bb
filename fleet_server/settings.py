"""Settings of the server's dynamics: monitoring, retraining, sampling, alerts, rollouts and ingest.

Each is a table of the server's configuration file; an unknown key is an error.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

Positive = Annotated[float, Meta(gt=0.0)]
Count = Annotated[int, Meta(ge=1)]


class MonitoringSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When a device counts as drifted.

    A device's first `baseline_windows` windows of a release (each of at least `min_frames` frames, not on
    probation) are its own baseline. `false_alarm_rate` is per window; a device is drifted when
    `windows_needed` of its last `windows_looked_at` windows exceeded their threshold and the fleet-wide
    false discovery rate of this evaluation stays below `false_discovery_rate`.
    """

    baseline_windows: Annotated[int, Meta(ge=3, le=10_000)] = 48
    min_frames: Count = 30
    false_alarm_rate: Annotated[float, Meta(gt=0.0, lt=0.5)] = 0.001
    false_discovery_rate: Annotated[float, Meta(gt=0.0, lt=1.0)] = 0.05
    windows_needed: Count = 2
    windows_looked_at: Count = 3
    evaluate_every_s: Positive = 5.0
    device_lost_after_s: Positive = 3600.0
    keep_windows_per_device: Annotated[int, Meta(ge=100)] = 20_000


class RetrainSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When an alert opens a retrain request, and what is collected for it.

    `on_input_drift` is off because inputs also change benignly; model drift is what costs accuracy.
    """

    on_model_drift: bool = True
    on_input_drift: bool = False
    cool_down_s: Annotated[float, Meta(ge=0.0)] = 86_400.0
    max_per_day: Annotated[int, Meta(ge=0)] = 3
    min_labelled: Count = 50
    collect_max_samples: Annotated[int, Meta(ge=1, le=10_000)] = 200
    collect_max_bytes: Count = 16 * 1024 * 1024
    collect_duration_s: Positive = 600.0
    collect_ttl_s: Positive = 3600.0
    max_lease_failures: Count = 3
    """Leases of one request that may expire without a result before it counts as FAILED."""


class SamplingSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps on what devices may upload."""

    max_sample_bytes: Count = 8 * 1024 * 1024
    max_request_bytes: Count = 512 * 1024 * 1024
    """Of all samples of one retrain request together."""


class AlertSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where alerts go besides the log and the dashboard; no URL, no webhook."""

    webhook_url: str = ""
    webhook_timeout_s: Positive = 5.0
    webhook_max_attempts: Annotated[int, Meta(ge=1, le=10)] = 4
    webhook_queue: Count = 256


class RolloutSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The engine looks at every running rollout on each change, and at least every `tick_s`."""

    tick_s: Annotated[float, Meta(gt=0.0, le=0.5)] = 0.5


class IngestSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How messages are gathered into one commit, and how many may wait."""

    flush_messages: Count = 500
    flush_s: Positive = 0.02
    queue_messages: Count = 10_000
