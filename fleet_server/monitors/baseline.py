"""What is normal for each device, and for the fleet around its own normals. Pure.

The unit is the window, not the frame: frames of one scene are not independent, windows nearly are. Each device is
compared with its own mean, since devices differ; how much windows vary around their device's mean is pooled over
the fleet, since one device has too few windows to tell. A window with fewer frames than usual weighs less, by
`weight`: its mean varies more, and must not alarm for that. Source: docs/measurements.md (drift).

Legend: N windows, S signals of the release, P signals kept, D devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.signals import INPUT_SIGNALS, MAX_CLASS_SIGNALS, signal_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SHRINKAGE: Final = 0.1
"""Share of the identity in the pooled correlation: steadies it where signals are nearly collinear."""
OUTPUT_FLOOR: Final = 1e-3
"""Least standard deviation of a window's mean of an output signal: a shift of a thousandth matters to nobody."""
INPUT_FLOOR: Final = 1e-3
"""The same for input signals, as a share of their mean, since inputs have any scale."""
CONSTANT: Final = 1e-12
MIN_SPARE_FREEDOM: Final = 10
"""Degrees of freedom beyond the number of signals, without which there is no verdict."""


@dataclass(frozen=True, slots=True)
class DeviceBaseline:
    """One device's baseline windows: their signal means and numbers of frames."""

    means_NS: NDArray[np.float64]
    counts_N: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tier:
    """A group of signals that is watched as one: columns in the window's means, and their names."""

    name: str
    columns: tuple[int, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FleetModel:
    """How windows vary around their own device's mean: scale of each kept signal and inverse correlation."""

    columns: tuple[int, ...]
    scale_P: NDArray[np.float64]
    precision_PP: NDArray[np.float64]
    freedom: int
    usual_count: float

    @property
    def signals(self) -> int:
        """How many signals are kept."""
        return len(self.columns)


def tiers(class_count: int) -> tuple[Tier, Tier]:
    """Input signals and model signals of a release; one class is dropped where classes sum to one."""
    names = signal_names(class_count)
    last_class = len(names) - 1 if 1 < class_count <= MAX_CLASS_SIGNALS else -1
    inputs = tuple(index for index, name in enumerate(names) if name in INPUT_SIGNALS)
    outputs = tuple(index for index in range(len(names)) if index not in inputs and index != last_class)
    return (
        Tier("input", inputs, tuple(names[index] for index in inputs)),
        Tier("model", outputs, tuple(names[index] for index in outputs)),
    )


def fit(baselines: Sequence[DeviceBaseline], tier: Tier) -> FleetModel | None:
    """The fleet's model of a tier; None where the baselines are too few to say what is normal."""
    usable = [each for each in baselines if len(each.counts_N) >= 2]
    if not usable:
        return None
    usual_count = float(np.median(np.concatenate([each.counts_N for each in usable])))
    columns = np.asarray(tier.columns)
    residuals_NP = np.concatenate([_residuals(each, columns, usual_count) for each in usable])
    freedom = len(residuals_NP) - len(usable)
    spread_P = np.sqrt((residuals_NP**2).sum(0) / freedom)
    kept_P = spread_P > CONSTANT
    if not kept_P.any() or freedom < int(kept_P.sum()) + MIN_SPARE_FREEDOM:
        return None
    scale_P = np.maximum(spread_P, _floor(usable, tier))[kept_P]
    standard_NP = residuals_NP[:, kept_P] / scale_P
    correlation_PP = standard_NP.T @ standard_NP / freedom
    steady_PP = (1.0 - SHRINKAGE) * correlation_PP + SHRINKAGE * np.eye(len(scale_P))
    kept = tuple(int(column) for column in columns[kept_P])
    return FleetModel(kept, scale_P, np.linalg.inv(steady_PP), freedom, usual_count)


def statistic(
    model: FleetModel, baseline: DeviceBaseline, means_NS: NDArray[np.float64], counts_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Hotelling's T2 of new windows against their device's own baseline, for a new observation: T2 / (1 + 1/n).

    Shape (N,). The baseline's own uncertainty is in the divisor; windows with few frames are weighted down.
    """
    columns = list(model.columns)
    center_P = baseline.means_NS[:, columns].mean(0)
    standard_NP = (means_NS[:, columns] - center_P) / model.scale_P
    distance_N = np.einsum("np,pq,nq->n", standard_NP, model.precision_PP, standard_NP)
    scaled_N: NDArray[np.float64] = weight(counts_N, model.usual_count) * distance_N
    return scaled_N / (1.0 + 1.0 / len(baseline.counts_N))


def weight(counts_N: NDArray[np.float64], usual_count: float) -> NDArray[np.float64]:
    """How much a window's distance counts: its share of the usual number of frames, at most 1."""
    weights_N: NDArray[np.float64] = np.minimum(1.0, counts_N / usual_count)
    return weights_N


def _residuals(each: DeviceBaseline, columns: NDArray[np.intp], usual_count: float) -> NDArray[np.float64]:
    means_NP = each.means_NS[:, columns]
    weights_N1 = np.sqrt(weight(each.counts_N, usual_count))[:, None]
    residuals_NP: NDArray[np.float64] = (means_NP - means_NP.mean(0)) * weights_N1
    return residuals_NP


def _floor(baselines: Sequence[DeviceBaseline], tier: Tier) -> NDArray[np.float64]:
    level_P = np.abs(np.concatenate([each.means_NS[:, list(tier.columns)] for each in baselines])).mean(0)
    is_input_P = np.array([name in INPUT_SIGNALS for name in tier.names])
    floor_P: NDArray[np.float64] = np.where(is_input_P, INPUT_FLOOR * level_P, OUTPUT_FLOOR)
    return floor_P
