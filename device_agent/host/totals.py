"""Adds up what several host processes of one release did. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from device_agent.host.counts import HostCounts
from fleet_contract.telemetry import latency_quantile_ms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from device_agent.host.channel import Heartbeat


def add_up(beats: Iterable[Heartbeat], crashes: int) -> HostCounts:
    """The counts of one release: `beats` holds the last word of each of its processes."""
    said = list(beats)
    if not said:
        return HostCounts(crashes=crashes)
    latency = np.sum([beat.latency for beat in said], axis=0)
    return HostCounts(
        requests=sum(beat.requests for beat in said),
        errors=sum(beat.errors for beat in said),
        invalid=sum(beat.invalid for beat in said),
        crashes=crashes,
        latency_p95_ms=latency_quantile_ms(latency, 0.95),
        healthy=sum(beat.healthy for beat in said),
    )
