"""What data look like: figures per column or channel, class balance, what is missing, what is there twice.

Rules: pure. Counts, least, greatest, mean and deviation are over all values; quantiles, distinct values and histograms
over at most SAMPLED_VALUES evenly spaced ones of a feature. Legend: V values, F features (`trainer.data.feature_view`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from msgspec import Struct

from trainer.data.feature_view import DataKind, feature_view, kind_of
from trainer.data.leakage import row_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.feature_view import FeatureView

    Reals = NDArray[np.float64]

SAMPLED_VALUES: Final = 1_000_000
CHUNK_VALUES: Final = 4_000_000
HISTOGRAM_BINS: Final = 24
QUANTILES: Final = (0.01, 0.25, 0.5, 0.75, 0.99)


class ClassCount(Struct, frozen=True, kw_only=True):
    """Rows of a class, those from the fleet included."""

    name: str
    count: int
    share: float


class FeatureStatistics(Struct, frozen=True, kw_only=True):
    """One column or channel. A feature without a finite value has zeros for figures.

    `histogram` counts sampled values between `edges`, or rows by category, where `edges` is empty.
    """

    name: str
    count: int
    missing: int
    zeros: int
    distinct: int
    low: float
    q01: float
    q25: float
    median: float
    q75: float
    q99: float
    high: float
    mean: float
    std: float
    categories: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    histogram: tuple[int, ...] = ()


class DataStatistics(Struct, frozen=True, kw_only=True):
    """A data set at a glance; `missing_rows` hold NaN or infinity, `copies` are equal to an earlier row."""

    source: str
    kind: DataKind
    rows: int
    fleet_rows: int
    dtype: str
    shape: tuple[int, ...]
    classes: tuple[ClassCount, ...]
    missing_rows: int
    copies: int
    features: tuple[FeatureStatistics, ...]


def describe(data: Dataset) -> DataStatistics:
    """The statistics of `data`, which may be empty."""
    counts_K = np.bincount(data.labels_B, minlength=len(data.label_names))
    return DataStatistics(
        source=data.source,
        kind=kind_of(data),
        rows=len(data),
        fleet_rows=int(data.fleet_mask.sum()),
        dtype=data.inputs_B.dtype.name,
        shape=data.sample_shape,
        classes=tuple(
            ClassCount(name=name, count=count, share=count / max(1, len(data)))
            for name, count in zip(data.label_names, counts_K.tolist(), strict=True)
        ),
        missing_rows=_missing_rows(data),
        copies=len(data) - len(np.unique(row_hashes(data.inputs_B))),
        features=tuple(_features(feature_view(data))) if len(data) else (),
    )


def _missing_rows(data: Dataset) -> int:
    if data.inputs_B.dtype.kind != "f" or len(data) == 0:
        return 0
    return int((~np.isfinite(data.inputs_B).reshape(len(data), -1).all(axis=1)).sum())


@dataclass(slots=True)
class _Moments:
    """Sums over the finite values of each feature, as they come in; `pivot_F` keeps squares small."""

    pivot_F: Reals
    count_F: Reals
    sum_F: Reals
    squares_F: Reals
    zeros_F: Reals
    low_F: Reals
    high_F: Reals


def _moments(values_VF: NDArray[np.generic]) -> _Moments:
    features = values_VF.shape[1]
    step = max(1, CHUNK_VALUES // max(1, features))
    zero_F = np.zeros(features)
    sums = _Moments(
        pivot_F=zero_F,
        count_F=zero_F.copy(),
        sum_F=zero_F.copy(),
        squares_F=zero_F.copy(),
        zeros_F=zero_F.copy(),
        low_F=np.full(features, np.inf),
        high_F=np.full(features, -np.inf),
    )
    for start in range(0, len(values_VF), step):
        chunk_VF = values_VF[start : start + step].astype(np.float64)
        finite_VF = np.isfinite(chunk_VF)
        if start == 0:
            sums.pivot_F = chunk_VF.sum(axis=0, where=finite_VF) / np.maximum(1, finite_VF.sum(axis=0))
        sums.count_F += finite_VF.sum(axis=0)
        sums.zeros_F += (chunk_VF == 0.0).sum(axis=0)
        np.minimum(sums.low_F, chunk_VF.min(axis=0, where=finite_VF, initial=np.inf), out=sums.low_F)
        np.maximum(sums.high_F, chunk_VF.max(axis=0, where=finite_VF, initial=-np.inf), out=sums.high_F)
        centred_VF = np.where(finite_VF, chunk_VF - sums.pivot_F, 0.0)
        sums.sum_F += centred_VF.sum(axis=0)
        sums.squares_F += np.einsum("vf,vf->f", centred_VF, centred_VF)
    return sums


def _features(view: FeatureView) -> Iterator[FeatureStatistics]:
    sums = _moments(view.values_VF)
    count_F = np.maximum(1.0, sums.count_F)
    mean_F = sums.sum_F / count_F
    std_F = np.sqrt(np.maximum(0.0, sums.squares_F / count_F - mean_F**2))
    known_F = sums.count_F > 0
    every = -(-len(view.values_VF) // SAMPLED_VALUES)
    for index, (name, categories) in enumerate(zip(view.names, view.categories, strict=True)):
        sample_V = view.values_VF[::every, index]
        sample_V = np.sort(sample_V[np.isfinite(sample_V)]).astype(np.float64)
        q01, q25, median, q75, q99 = _quantiles(sample_V)
        edges, histogram = _category_counts(sample_V, categories) if categories else _histogram(sample_V)
        yield FeatureStatistics(
            name=name,
            count=len(view.values_VF),
            missing=len(view.values_VF) - int(sums.count_F[index]),
            zeros=int(sums.zeros_F[index]),
            distinct=int((np.diff(sample_V) > 0).sum()) + bool(len(sample_V)),
            low=float(sums.low_F[index]) if known_F[index] else 0.0,
            q01=q01,
            q25=q25,
            median=median,
            q75=q75,
            q99=q99,
            high=float(sums.high_F[index]) if known_F[index] else 0.0,
            mean=float(mean_F[index] + sums.pivot_F[index]),
            std=float(std_F[index]),
            categories=categories,
            edges=edges,
            histogram=histogram,
        )


def _quantiles(sorted_V: Reals) -> tuple[float, ...]:
    """The order statistics at QUANTILES; `sorted_V` is ascending."""
    if len(sorted_V) == 0:
        return (0.0,) * len(QUANTILES)
    return tuple(float(sorted_V[round(share * (len(sorted_V) - 1))]) for share in QUANTILES)


def _histogram(sorted_V: Reals) -> tuple[tuple[float, ...], tuple[int, ...]]:
    if len(sorted_V) == 0 or not np.isfinite(sorted_V[-1] - sorted_V[0]):
        return (), ()
    low, high = float(sorted_V[0]), float(sorted_V[-1])
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1) if low < high else np.asarray([low - 0.5, low + 0.5])
    places = np.searchsorted(sorted_V, edges[1:-1])
    counts = np.diff([0, *places.tolist(), len(sorted_V)])
    return tuple(edges.tolist()), tuple(counts.tolist())


def _category_counts(sorted_V: Reals, categories: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    codes_V = sorted_V[(sorted_V >= 0) & (sorted_V < len(categories))].astype(np.int64)
    return (), tuple(np.bincount(codes_V, minlength=len(categories)).tolist())
