"""The running totals of one host process: what heartbeats and `/metrics` tell."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.telemetry import LATENCY_BINS, latency_bins

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Outcome(StrEnum):
    """How an inference request ended; `REFUSED` is the caller's mistake, `REJECTED` a full queue."""

    OK = "ok"
    ERROR = "error"
    INVALID = "invalid"
    REFUSED = "refused"
    REJECTED = "rejected"


class Statistics:
    """Totals since the process started; touched by the event loop only."""

    def __init__(self) -> None:
        self.requests = dict.fromkeys(Outcome, 0)
        self.inferences = 0
        self.in_flight = 0
        self.latency: NDArray[np.int64] = np.zeros(LATENCY_BINS, np.int64)
        self.latency_sum_ms = 0.0

    def count(self, outcome: Outcome) -> None:
        """One more request that ended so."""
        self.requests[outcome] += 1

    def answered(self, rows: int, latency_ms: float) -> None:
        """One more request that was answered with the scores of `rows` inputs."""
        self.count(Outcome.OK)
        self.inferences += rows
        self.latency[latency_bins(np.asarray([latency_ms]))[0]] += 1
        self.latency_sum_ms += latency_ms
