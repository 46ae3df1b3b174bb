"""The ranges in which activations are quantized, from the values that they took. Pure.

The tools' own ways are not used: litert-quantizer's moving average of minima and maxima costs 4 to 9 dB
(docs/measurements.md).

Legend: B rows, N histogram bins, F fractions of the full range, P pairs of a low and a high end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from converter.recipe import Ranges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.backends.tflite.activations import Activation

BINS: Final = 2048
"""Eight to a step of int8 over the full range."""
COARSE_F: Final = np.linspace(1.0, 0.2, 9)
FINE_F: Final = np.array([0.0, 0.05, 0.025, -0.025, -0.05])
"""What the second round adds to the best coarse fraction."""
LEVELS: Final = 255
MIN_SCALE: Final = 1e-9


def bounds(
    activations: Mapping[str, Activation], ranges: Ranges, rows: NDArray[np.intp]
) -> dict[str, tuple[float, float]]:
    """The range of every activation over some of the rows, by name."""
    full = {name: _full_range(activation, rows) for name, activation in activations.items()}
    if ranges != Ranges.MSE:
        return full
    return {name: clip(activations[name].sample_BS[rows].ravel(), *ends) for name, ends in full.items()}


def _full_range(activation: Activation, rows: NDArray[np.intp]) -> tuple[float, float]:
    return float(activation.lows_B[rows].min()), float(activation.highs_B[rows].max())


def clip(sample: NDArray[np.float32], low: float, high: float) -> tuple[float, float]:
    """The part of [low, high] in which int8 rounds and clips the sample with the least squared error.

    Zero stays in the range, as the runtime wants it. The error is taken over a histogram, each bin at the mean of its
    values; fractions of the ends are tried coarsely, then finely around the best.
    """
    low, high = min(low, 0.0), max(high, 0.0)
    if sample.size == 0 or high - low <= MIN_SCALE * LEVELS:
        return low, high
    values_N, weights_N = _histogram(sample, low, high)
    ends = np.array([low, high])
    coarse = _least(values_N, weights_N, ends, _pairs(COARSE_F, COARSE_F))
    around = [np.clip(fraction + FINE_F, 0.05, 1.0) for fraction in coarse]
    fine = _least(values_N, weights_N, ends, _pairs(*around))
    return float(low * fine[0]), float(high * fine[1])


def _pairs(lows_F: NDArray[np.float64], highs_F: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every pair of a fraction of the low and of the high end, shape (P, 2)."""
    return np.stack(np.meshgrid(lows_F, highs_F, indexing="ij"), axis=-1).reshape(-1, 2)


def _histogram(sample: NDArray[np.float32], low: float, high: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and count of the values in each bin of [low, high] that has any."""
    values = sample.astype(np.float64)
    bins = np.clip(((values - low) * (BINS / (high - low))).astype(np.int64), 0, BINS - 1)
    counts_N = np.bincount(bins, minlength=BINS).astype(np.float64)
    sums_N = np.bincount(bins, weights=values, minlength=BINS)
    filled = counts_N > 0
    return sums_N[filled] / counts_N[filled], counts_N[filled]


def _least(
    values_N: NDArray[np.float64], weights_N: NDArray[np.float64], ends: NDArray[np.float64], pairs: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The pair of fractions with the least squared error; the first of equals."""
    lows_P, highs_P = np.maximum(0.0, -ends[0] * pairs[:, 0]), ends[1] * pairs[:, 1]
    scales_P = np.maximum((highs_P + lows_P) / LEVELS, MIN_SCALE)[:, None]
    zeros_P = np.rint(lows_P[:, None] / scales_P) - 128.0
    stored_PN = np.clip(np.rint(values_N / scales_P) + zeros_P, -128.0, 127.0)
    errors_P = ((stored_PN - zeros_P) * scales_P - values_N) ** 2 @ weights_N
    best: NDArray[np.float64] = pairs[int(errors_P.argmin())]
    return best
