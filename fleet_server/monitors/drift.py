"""From a distance to a verdict: thresholds that hold on fleets whose noise is not normal, and who alarms. Pure.

1. Law. For normal noise, T2 / (1 + 1/n) of a new window follows p m / (m - p + 1) F(p, m - p + 1), with p signals
   and m pooled degrees of freedom. Its (1 - rate) quantile is the nominal threshold.
2. Tail factor. Real noise has heavier tails and is correlated in time. So the fleet's own baselines are scored
   against themselves: each device's windows are cut into FOLDS blocks in time, everything is fitted on the others,
   and the left-out block is scored, as a ratio to that fit's nominal threshold. Where the ratios' (1 - rate)
   quantile, extrapolated along a power-law tail (Hill's estimator over the top fifth), exceeds 1, all thresholds are
   multiplied by it; they are also never below the greatest ratio seen. A power law is the heaviest tail that is
   plausible, and its exponent is taken one standard error up, so the extrapolation errs towards silence.
3. Alarm. A device alarms when `needed` of its last `looked_at` windows exceed the threshold; its p-value is the
   order statistic of theirs, which holds under any dependence (Rueger), and Benjamini and Hochberg's procedure over
   the fleet's p-values bounds the share of false alarms when much drifts at once.
4. Too few degrees of freedom, or too few scored baseline windows, and there is no verdict: never an alarm.

Sources: Hotelling 1931; Hill 1975; Rueger 1978; Benjamini and Hochberg 1995; docs/measurements.md (drift).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from scipy import stats

from fleet_server.monitors.baseline import DeviceBaseline, FleetModel, Tier, fit, statistic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FOLDS: Final = 4
MIN_SCORED: Final = 24
TAIL_SHARE: Final = 0.2
MIN_TAIL: Final = 8
MIN_P: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A tier's model, its threshold for T2 / (1 + 1/n), and how much heavier than normal the noise's tail is."""

    model: FleetModel
    threshold: float
    tail_factor: float


@dataclass(frozen=True, slots=True)
class Scores:
    """Of windows, shape (N,): `ratio_N` is T2 over its threshold, above 1 is unusual; `p_N` the p-value."""

    ratio_N: NDArray[np.float64]
    p_N: NDArray[np.float64]


def calibrate(baselines: Sequence[DeviceBaseline], tier: Tier, rate: float) -> Calibrated | None:
    """The tier's model and threshold for `rate` false alarms per window; None: not enough baseline for a verdict."""
    model = fit(baselines, tier)
    ratios_N = _left_out_ratios(baselines, tier, rate)
    if model is None or ratios_N is None or len(ratios_N) < MIN_SCORED:
        return None
    factor = tail_factor(ratios_N, rate)
    return Calibrated(model, factor * nominal_threshold(model, rate), factor)


def nominal_threshold(model: FleetModel, rate: float) -> float:
    """The (1 - rate) quantile of the statistic for normal noise."""
    p, m = model.signals, model.freedom
    return float(p * m / (m - p + 1) * stats.f.isf(rate, p, m - p + 1))


def tail_factor(ratios_N: NDArray[np.float64], rate: float) -> float:
    """By how much thresholds must rise so that `rate` holds for noise like that of `ratios_N`; at least 1."""
    ordered_N = np.sort(ratios_N)[::-1]
    tail = min(max(MIN_TAIL, int(TAIL_SHARE * len(ordered_N))), len(ordered_N) - 1)
    border = max(float(ordered_N[tail]), 1e-9)
    share = tail / len(ordered_N)
    hill = float(np.log(np.maximum(ordered_N[:tail], border) / border).mean())
    cautious = hill * (1.0 + 1.0 / np.sqrt(tail))
    extrapolated = border * (share / rate) ** cautious if share > rate else border
    return max(1.0, float(ordered_N[0]), extrapolated)


def score(
    calibrated: Calibrated,
    baseline: DeviceBaseline,
    means_NS: NDArray[np.float64],
    counts_N: NDArray[np.float64],
) -> Scores:
    """Scores of new windows of one device."""
    values_N = statistic(calibrated.model, baseline, means_NS, counts_N)
    p, m = calibrated.model.signals, calibrated.model.freedom
    law_N = values_N / calibrated.tail_factor * (m - p + 1) / (p * m)
    p_N: NDArray[np.float64] = np.maximum(stats.f.sf(law_N, p, m - p + 1), MIN_P)
    return Scores(values_N / calibrated.threshold, p_N)


def device_p_value(recent_p: Sequence[float], needed: int) -> float:
    """The p-value of "`needed` of these windows are unusual", valid under any dependence; 1 with fewer windows."""
    if len(recent_p) < needed:
        return 1.0
    return min(1.0, len(recent_p) / needed * sorted(recent_p)[needed - 1])


def alarming(
    recent_p: Sequence[Sequence[float]], *, rate: float, needed: int, false_discovery_rate: float
) -> list[bool]:
    """Which devices alarm, given the p-values of each one's last windows."""
    p_values = [device_p_value(each, needed) for each in recent_p]
    discovered = benjamini_hochberg(p_values, false_discovery_rate)
    enough = [sum(p <= rate for p in each) >= needed for each in recent_p]
    return [bool(found and many) for found, many in zip(discovered, enough, strict=True)]


def benjamini_hochberg(p_values: Sequence[float], rate: float) -> list[bool]:
    """Which hypotheses are rejected at that false discovery rate."""
    if not p_values:
        return []
    ordered = np.argsort(p_values)
    limits = rate * np.arange(1, len(p_values) + 1) / len(p_values)
    below = np.flatnonzero(np.asarray(p_values)[ordered] <= limits)
    rejected = set(ordered[: below[-1] + 1].tolist()) if len(below) else set()
    return [index in rejected for index in range(len(p_values))]


def _left_out_ratios(baselines: Sequence[DeviceBaseline], tier: Tier, rate: float) -> NDArray[np.float64] | None:
    """Each baseline window's ratio to the nominal threshold of a fit that has not seen its block."""
    found: list[NDArray[np.float64]] = []
    for fold in range(FOLDS):
        pairs = [(_without(each, fold), _only(each, fold)) for each in baselines]
        model = fit([kept for kept, _ in pairs], tier)
        if model is None:
            return None
        limit = nominal_threshold(model, rate)
        found += [
            statistic(model, kept, left.means_NS, left.counts_N) / limit
            for kept, left in pairs
            if len(kept.counts_N) and len(left.counts_N)
        ]
    return np.concatenate(found)


def _block(baseline: DeviceBaseline, fold: int) -> NDArray[np.bool_]:
    size = len(baseline.counts_N)
    blocks_N: NDArray[np.bool_] = np.arange(size) * FOLDS // max(size, 1) == fold
    return blocks_N


def _only(baseline: DeviceBaseline, fold: int) -> DeviceBaseline:
    chosen_N = _block(baseline, fold)
    return DeviceBaseline(baseline.means_NS[chosen_N], baseline.counts_N[chosen_N])


def _without(baseline: DeviceBaseline, fold: int) -> DeviceBaseline:
    chosen_N = ~_block(baseline, fold)
    return DeviceBaseline(baseline.means_NS[chosen_N], baseline.counts_N[chosen_N])
