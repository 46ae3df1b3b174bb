"""What data look like: figures per column or channel, class balance, what is missing, what is there twice.

Rules: pure. Counts, least, greatest, mean and deviation are over all values; quantiles, distinct values and histograms
over at most SAMPLED_VALUES evenly spaced ones of a feature. Legend: V values, F features (`trainer.data.feature_view`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

from trainer.data.equal_rows import first_equal_rows
from trainer.data.feature_view import CHUNK_VALUES, DataKind, feature_view, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset
    from trainer.data.feature_view import FeatureView

    Reals = NDArray[np.float64]
    Values = NDArray[Any]

SAMPLED_VALUES: Final = 1_000_000
FEATURES_AT_ONCE: Final = 16
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
        copies=int((first_equal_rows(data.inputs_B) != np.arange(len(data))).sum()),
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


def _moments(values_VF: Values) -> _Moments:
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
        _add(sums, values_VF[start : start + step].T.astype(np.float64, order="C"), first=start == 0)
    return sums


def _add(sums: _Moments, chunk_FV: Reals, *, first: bool) -> None:
    """Adds a chunk, which is overwritten."""
    finite_FV = np.isfinite(chunk_FV)
    count_F, whole = finite_FV.sum(axis=1), bool(finite_FV.all())
    low_FV, high_FV = (chunk_FV if whole else np.where(finite_FV, chunk_FV, far) for far in (np.inf, -np.inf))
    if first:
        sums.pivot_F = np.where(finite_FV, chunk_FV, 0.0).sum(axis=1) / np.maximum(1, count_F)
    sums.count_F += count_F
    sums.zeros_F += (chunk_FV == 0.0).sum(axis=1)
    np.minimum(sums.low_F, low_FV.min(axis=1), out=sums.low_F)
    np.maximum(sums.high_F, high_FV.max(axis=1), out=sums.high_F)
    chunk_FV -= sums.pivot_F[:, None]
    if not whole:
        chunk_FV[~finite_FV] = 0.0
    sums.sum_F += chunk_FV.sum(axis=1)
    sums.squares_F += np.einsum("fv,fv->f", chunk_FV, chunk_FV)


def _features(view: FeatureView) -> Iterator[FeatureStatistics]:
    sums = _moments(view.values_VF)
    count_F = np.maximum(1.0, sums.count_F)
    mean_F = sums.sum_F / count_F
    std_F = np.sqrt(np.maximum(0.0, sums.squares_F / count_F - mean_F**2))
    known_F = sums.count_F > 0
    samples = zip(view.names, view.categories, _sorted_samples(view.values_VF), strict=True)
    for index, (name, categories, sample_V) in enumerate(samples):
        q01, q25, median, q75, q99 = _quantiles(sample_V)
        edges, histogram = _category_counts(sample_V, categories) if categories else _histogram(sample_V)
        yield FeatureStatistics(
            name=name,
            count=len(view.values_VF),
            missing=len(view.values_VF) - int(sums.count_F[index]),
            zeros=int(sums.zeros_F[index]),
            distinct=int((sample_V[1:] != sample_V[:-1]).sum()) + bool(len(sample_V)),
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


def _sorted_samples(values_VF: Values) -> Iterator[Values]:
    """The finite values of each feature, ascending, at most SAMPLED_VALUES; neighbours in memory are read together."""
    sampled_VF = values_VF[:: -(-len(values_VF) // SAMPLED_VALUES)]
    step = CHUNK_VALUES // FEATURES_AT_ONCE
    for first in range(0, values_VF.shape[1], FEATURES_AT_ONCE):
        block_VF = sampled_VF[:, first : first + FEATURES_AT_ONCE]
        columns_FV = np.empty(block_VF.shape[::-1], values_VF.dtype)
        for start in range(0, len(block_VF), step):
            columns_FV[:, start : start + step] = block_VF[start : start + step].T
        for column_V in columns_FV:
            yield np.sort(column_V[np.isfinite(column_V)])


def _quantiles(sorted_V: Values) -> tuple[float, ...]:
    """The order statistics at QUANTILES; `sorted_V` is ascending."""
    if len(sorted_V) == 0:
        return (0.0,) * len(QUANTILES)
    return tuple(float(sorted_V[round(share * (len(sorted_V) - 1))]) for share in QUANTILES)


def _histogram(sorted_V: Values) -> tuple[tuple[float, ...], tuple[int, ...]]:
    low, high = (float(sorted_V[0]), float(sorted_V[-1])) if len(sorted_V) else (0.0, np.inf)
    if not np.isfinite(high - low):
        return (), ()
    edges = np.linspace(low, high, HISTOGRAM_BINS + 1) if low < high else np.asarray([low - 0.5, low + 0.5])
    places = np.searchsorted(sorted_V, edges[1:-1])
    counts = np.diff([0, *places.tolist(), len(sorted_V)])
    return tuple(edges.tolist()), tuple(counts.tolist())


def _category_counts(sorted_V: Values, categories: tuple[str, ...]) -> tuple[tuple[float, ...], tuple[int, ...]]:
    codes_V = sorted_V[(sorted_V >= 0) & (sorted_V < len(categories))].astype(np.int64)
    return (), tuple(np.bincount(codes_V, minlength=len(categories)).tolist())
