"""What a release's hosts did since it was activated: the numbers that probation decides on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class HostCounts:
    """Counts since the last `Supervisor.activate`, over restarts of the host after crashes.

    `requests` are inference requests that reached the model; `errors` those in which it failed and `invalid` those
    with a non-finite input or result; requests that the caller got wrong (4xx) or that met a full queue are in none
    of them. `healthy` counts inferences (rows of a batch) that were answered. `latency_p95_ms` is NaN without any.
    """

    requests: int = 0
    errors: int = 0
    invalid: int = 0
    crashes: int = 0
    latency_p95_ms: float = float("nan")
    healthy: int = 0
