"""The reference profile: what a release's signals looked like on held-out data, shipped with the release.

Devices take their histogram edges from it, so that all windows of a release merge exactly; the server takes
calibration from it. It is never used as an iid reference for a device (docs/measurements.md, drift).
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from fleet_contract.signals import HISTOGRAM_BINS

InnerEdges = Annotated[tuple[float, ...], Meta(min_length=HISTOGRAM_BINS - 1, max_length=HISTOGRAM_BINS - 1)]


class SignalReference(Struct, frozen=True, kw_only=True):
    """One signal on the held-out set: mean and standard deviation over frames."""

    name: str
    mean: float
    std: float


class HistogramReference(Struct, frozen=True, kw_only=True):
    """A signal's fixed bins: inner edges (ascending) and the share of held-out frames in each bin."""

    signal: str
    edges: InnerEdges
    shares: tuple[float, ...]


class ReferenceProfile(Struct, frozen=True, kw_only=True):
    """Signals, histogram edges, class shares and calibration of one release on `sample_count` held-out frames.

    `accuracy_by_confidence[i]` is the accuracy of frames in bin i of the `confidence` histogram; bins without
    frames carry the bin's own mid confidence. Source: CBPE from histograms, docs/measurements.md (drift)
    """

    schema: int = 1
    sample_count: int
    signals: tuple[SignalReference, ...]
    histograms: tuple[HistogramReference, ...]
    class_shares: tuple[float, ...]
    accuracy_by_confidence: tuple[float, ...]
