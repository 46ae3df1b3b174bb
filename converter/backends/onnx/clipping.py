"""The range of an activation in which quantizing it to 8 bits costs the least squared error. Pure.

Values inside a range are off by the rounding, uniform over a step s and therefore s**2 / 12 on average; zero is exact,
as it always has a code; values outside are off by their distance to the edge. A grid of ranges is tried, each in closed
form. Legend: N values, L lower and H upper edges.
Source: B. Widrow, I. Kollar, Quantization Noise (2008), chapter 4, for the rounding.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

STEPS: Final = 255
SIGNED_STEPS: Final = 254
"""Symmetric ranges use the codes -127 to 127."""
_FRACTIONS: Final = np.linspace(1.0, 0.2, 81)
"""Edges that are tried, as parts of the greatest and the least value."""


def least_error_range(
    values_N: NDArray[np.float32], weights_N: NDArray[np.float64], *, symmetric: bool
) -> tuple[float, float]:
    """The best range for values that each stand for `weights_N` of their kind; it holds zero."""
    if symmetric:
        return _symmetric(np.abs(values_N), weights_N)
    upper = _Tail(values_N, weights_N)
    lower = _Tail(-values_N, weights_N)
    edges_H, edges_L = upper.edges(), lower.edges()
    inside_HL = upper.count_below(edges_H)[:, None] + lower.count_below(edges_L)
    step_HL = (edges_H[:, None] + edges_L) / STEPS
    error_HL = inside_HL * step_HL**2 / 12.0 + upper.cost(edges_H)[:, None] + lower.cost(edges_L)
    best_h, best_l = np.unravel_index(int(error_HL.argmin()), error_HL.shape)
    return -float(edges_L[best_l]), float(edges_H[best_h])


def _symmetric(sizes_N: NDArray[np.float32], weights_N: NDArray[np.float64]) -> tuple[float, float]:
    tail = _Tail(sizes_N, weights_N)
    edges_H = tail.edges()
    step_H = 2.0 * edges_H / SIGNED_STEPS
    error_H = tail.count_below(edges_H) * step_H**2 / 12.0 + tail.cost(edges_H)
    edge = float(edges_H[int(error_H.argmin())])
    return -edge, edge


class _Tail:
    """The positive ones among weighted values, summed up from the greatest down."""

    def __init__(self, values_N: NDArray[np.float32], weights_N: NDArray[np.float64]) -> None:
        positive = values_N > 0
        order = np.argsort(values_N[positive], kind="stable")
        self._values = values_N[positive][order].astype(np.float64)
        weights = weights_N[positive][order]
        self._above = [_sums_from_end(weights * self._values**power) for power in (0, 1, 2)]

    def edges(self) -> NDArray[np.float64]:
        """Edges to try, the greatest value first; only zero where no value is positive."""
        return self._values[-1] * _FRACTIONS if len(self._values) else np.zeros(1)

    def count_below(self, edges_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """How many values are positive and at most the edge."""
        counts: NDArray[np.float64] = self._above[0][0] - self._above[0][self._first_above(edges_H)]
        return counts

    def cost(self, edges_H: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of squared distances of the values above each edge to that edge."""
        at = self._first_above(edges_H)
        count, total, squares = (above[at] for above in self._above)
        return np.maximum(squares - 2.0 * edges_H * total + edges_H**2 * count, 0.0)

    def _first_above(self, edges_H: NDArray[np.float64]) -> NDArray[np.intp]:
        return np.searchsorted(self._values, edges_H, side="right")


def _sums_from_end(values_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum from each place to the end; one longer than the values, as the last sum is of nothing."""
    return np.append(np.cumsum(values_N[::-1])[::-1], 0.0)
