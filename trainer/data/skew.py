"""Train/serve skew: does another sample come from where the base data came from?

Each feature's values are binned by the quantiles of the base data (categories by themselves, what is missing in a bin
of its own), and the shares of the two samples compared by population stability index and greatest difference. Limits
are what sampling noise alone reaches at these sample sizes with probability ALPHA over all features, so that neither a
small sample is flagged for its size nor a large one let through. Values within an image or series depend on each
other; there a row counts once, by the mean and the deviation of each channel.

Rules: pure. Under no skew PSI is (1/n + 1/m) times chi-square with bins - 1 degrees of freedom.
Source: Yurdakul, "Statistical properties of the population stability index" (2018), section 3; Bernstein's inequality.
Legend: B rows, K bins.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from msgspec import Struct

from fleet_contract.errors import DataError
from trainer.data.feature_view import DataKind, feature_view, kind_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset

    Counts = NDArray[np.float64]

ALPHA: Final = 0.01
MAX_BINS: Final = 10
MIN_EXPECTED: Final = 5.0
"""Bins in which the smaller sample would have fewer rows than this are thrown together."""
SMALL_PSI: Final = 0.1
LARGE_PSI: Final = 0.25


class FeatureSkew(Struct, frozen=True, kw_only=True):
    """One feature in two samples; `shifted` when a figure is beyond its limit, which is what noise may reach."""

    name: str
    psi: float
    psi_limit: float
    greatest_difference: float
    difference_limit: float
    shifted: bool

    def __str__(self) -> str:
        """The finding as a line for people."""
        size = "slightly" if self.psi < SMALL_PSI else "clearly" if self.psi < LARGE_PSI else "strongly"
        return (
            f"{self.name!r} is {f'{size} shifted' if self.shifted else 'as before'}: stability index {self.psi:.3f} "
            f"(noise reaches {self.psi_limit:.3f}), a share differs by {self.greatest_difference:.1%} "
            f"(noise reaches {self.difference_limit:.1%})"
        )


class SkewReport(Struct, frozen=True, kw_only=True):
    """Two samples compared, worst feature first."""

    base: str
    other: str
    base_rows: int
    other_rows: int
    features: tuple[FeatureSkew, ...]

    @property
    def shifted(self) -> tuple[FeatureSkew, ...]:
        """Those that noise does not explain."""
        return tuple(feature for feature in self.features if feature.shifted)


class _Column(NamedTuple):
    name: str
    values_B: NDArray[np.float64]
    by_value: bool


def find_skew(base: Dataset, other: Dataset, *, alpha: float = ALPHA) -> SkewReport:
    """Compares every feature of `other`, and its class shares, with `base`.

    Args:
        base: what a model learns from.
        other: what it meets, or any other sample.
        alpha: probability that a sample without skew has any feature flagged.

    Raises:
        DataError: the samples have different features or classes, or one is empty.
    """
    _check(base, other)
    pairs = list(zip(_columns(base), _columns(other), strict=True))
    found = [_compare(ours, theirs, alpha / len(pairs)) for ours, theirs in pairs]
    return SkewReport(
        base=base.source,
        other=other.source,
        base_rows=len(base),
        other_rows=len(other),
        features=tuple(sorted(found, key=lambda one: (not one.shifted, -one.psi / one.psi_limit))),
    )


def fleet_skew(data: Dataset) -> SkewReport | None:
    """The samples from the fleet against the project's own rows; None where there are not both."""
    fleet_B = data.fleet_mask
    if not fleet_B.any() or fleet_B.all():
        return None
    return find_skew(data.rows(np.flatnonzero(~fleet_B)), data.rows(np.flatnonzero(fleet_B)))


def _check(base: Dataset, other: Dataset) -> None:
    for sample in (base, other):
        if len(sample) == 0:
            raise DataError(f"{sample.source}: got no rows, expected some")
    for what, got, expected in (
        ("shape", other.sample_shape, base.sample_shape),
        ("features", feature_view(other).names, feature_view(base).names),
        ("categories", feature_view(other).categories, feature_view(base).categories),
        ("classes", other.label_names, base.label_names),
    ):
        if got != expected:
            raise DataError(f"{other.source}: {what}: got {list(got)[:20]}, expected {list(expected)[:20]}")


def _columns(data: Dataset) -> Iterator[_Column]:
    view = feature_view(data)
    if kind_of(data) is DataKind.TABLE:
        for index, name in enumerate(view.names):
            yield _Column(name, view.values_VF[:, index].astype(np.float64), bool(view.categories[index]))
    else:
        values_BVF = view.values_VF.reshape(len(data), view.values_per_row, len(view.names))
        for index, name in enumerate(view.names):
            channel_BV = values_BVF[:, :, index]
            with np.errstate(invalid="ignore", over="ignore"):
                yield _Column(f"mean of {name}", channel_BV.mean(axis=1, dtype=np.float64), by_value=False)
                yield _Column(f"deviation of {name}", channel_BV.std(axis=1, dtype=np.float64), by_value=False)
    yield _Column("label", data.labels_B.astype(np.float64), by_value=True)


def _compare(ours: _Column, theirs: _Column, alpha: float) -> FeatureSkew:
    from scipy.stats import chi2

    ours_K, theirs_K = _pooled(*_binned(ours, theirs))
    bins = len(ours_K)
    count, other_count = float(ours_K.sum()), float(theirs_K.sum())
    noise = 1.0 / count + 1.0 / other_count
    share_K, other_K = ((counts_K + 0.5) / (counts_K.sum() + 0.5 * bins) for counts_K in (ours_K, theirs_K))
    psi = float(((share_K - other_K) * np.log(share_K / other_K)).sum())
    psi_limit = noise * float(chi2.isf(alpha / 2.0, max(1, bins - 1)))
    difference_K = np.abs(ours_K / count - theirs_K / other_count)
    both_K = (ours_K + theirs_K) / (count + other_count)
    log_odds = math.log(4.0 * bins / alpha)
    limit_K = np.sqrt(2.0 * both_K * (1.0 - both_K) * noise * log_odds) + log_odds / (3.0 * min(count, other_count))
    worst = int((difference_K - limit_K).argmax())
    return FeatureSkew(
        name=ours.name,
        psi=psi,
        psi_limit=psi_limit,
        greatest_difference=float(difference_K[worst]),
        difference_limit=float(limit_K[worst]),
        shifted=psi > psi_limit or bool(difference_K[worst] > limit_K[worst]),
    )


def _binned(ours: _Column, theirs: _Column) -> tuple[Counts, Counts]:
    """Rows in each bin; the last one is for what is missing."""
    known_B = ours.values_B[np.isfinite(ours.values_B)]
    distinct = np.unique(known_B)
    if ours.by_value or len(distinct) <= MAX_BINS:
        distinct = np.union1d(distinct, theirs.values_B[np.isfinite(theirs.values_B)]) if ours.by_value else distinct
        edges = (distinct[1:] + distinct[:-1]) / 2.0
    else:
        edges = np.unique(np.quantile(known_B, np.linspace(0.0, 1.0, MAX_BINS + 1)[1:-1]))
    return _counts(ours.values_B, edges), _counts(theirs.values_B, edges)


def _counts(values_B: NDArray[np.float64], edges: NDArray[np.float64]) -> Counts:
    bin_B = np.where(np.isfinite(values_B), np.searchsorted(edges, values_B, side="right"), len(edges) + 1)
    return np.bincount(bin_B, minlength=len(edges) + 2).astype(np.float64)


def _pooled(ours_K: Counts, theirs_K: Counts) -> tuple[Counts, Counts]:
    """Both without empty bins, and with those that are expected to hold too little in one."""
    smaller = min(ours_K.sum(), theirs_K.sum())
    expected_K = (ours_K + theirs_K) / (ours_K.sum() + theirs_K.sum()) * smaller
    rare_K = expected_K < MIN_EXPECTED
    if not rare_K.any():
        return ours_K, theirs_K
    pooled = [np.append(counts_K[~rare_K], counts_K[rare_K].sum()) for counts_K in (ours_K, theirs_K)]
    used_K = (pooled[0] + pooled[1]) > 0
    return pooled[0][used_K], pooled[1][used_K]
