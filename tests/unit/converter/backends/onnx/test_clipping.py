"""The range of least squared error: wide where clipping gains nothing, narrow where an outlier costs everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from converter.backends.onnx.clipping import SIGNED_STEPS, STEPS, least_error_range

if TYPE_CHECKING:
    from numpy.typing import NDArray

RNG = np.random.default_rng(3)


def found(values_N: NDArray[np.float32], *, symmetric: bool = False) -> tuple[float, float]:
    """The range for values that each stand for one."""
    return least_error_range(values_N, np.ones(len(values_N)), symmetric=symmetric)


def real_error(values_N: NDArray[np.float32], low: float, high: float, steps: int = STEPS) -> float:
    """The mean squared error that quantizing to a range really makes."""
    scale = (high - low) / steps
    zero = round(-low / scale)
    codes_N = np.clip(np.round(values_N / scale) + zero, 0, steps)
    return float(np.mean(((codes_N - zero) * scale - values_N) ** 2))


def test_uniform_values_keep_their_whole_range() -> None:
    """Nothing is gained by clipping what is as frequent at the edge as anywhere."""
    values_N = RNG.uniform(-1.0, 3.0, 20_000).astype(np.float32)
    low, high = found(values_N)
    assert low == pytest.approx(-1.0, abs=0.02)
    assert high == pytest.approx(3.0, abs=0.02)


def test_an_outlier_is_clipped() -> None:
    """One value in two million that lies twice as far out as the others does not double the error of all."""
    values_N = np.append(RNG.uniform(0.0, 1.0, 20_000), 2.0).astype(np.float32)
    weights_N = np.append(np.full(20_000, 100.0), 1.0)
    assert least_error_range(values_N, weights_N, symmetric=False)[1] < 1.2


@pytest.mark.parametrize("symmetric", [False, True])
def test_the_real_error_is_near_the_best_of_any_clipping(*, symmetric: bool) -> None:
    """The closed form finds, on values with a long tail, what trying every clipping for real finds."""
    values_N = RNG.laplace(size=20_000).astype(np.float32)
    steps = SIGNED_STEPS if symmetric else STEPS
    low, high = found(values_N, symmetric=symmetric)
    edge = float(np.abs(values_N).max())
    best = min(real_error(values_N, -edge * part, edge * part, steps) for part in np.linspace(0.2, 1.0, 81))
    assert real_error(values_N, low, high, steps) < 1.1 * best
    assert high < edge


def test_values_of_one_sign_have_zero_as_an_edge() -> None:
    """What follows a Relu needs no codes below zero."""
    assert found(np.abs(RNG.normal(size=1000)).astype(np.float32))[0] == 0.0
    assert found(-np.abs(RNG.normal(size=1000)).astype(np.float32))[1] == 0.0


def test_a_symmetric_range_is_symmetric() -> None:
    """The greater side decides."""
    low, high = found(RNG.uniform(-1.0, 3.0, 5000).astype(np.float32), symmetric=True)
    assert -low == high == pytest.approx(3.0, abs=0.02)


@pytest.mark.parametrize("symmetric", [False, True])
def test_zeros_alone_have_an_empty_range(*, symmetric: bool) -> None:
    """A dead activation is no error here; the quantizer gives it a scale."""
    assert found(np.zeros(10, np.float32), symmetric=symmetric) == (0.0, 0.0)


def test_weights_count_like_repeated_values() -> None:
    """A value that stands for three is as good as three of it."""
    values_N = RNG.normal(size=500).astype(np.float32)
    weights_N = RNG.integers(1, 4, 500).astype(np.float64)
    repeated_N = np.repeat(values_N, weights_N.astype(int))
    assert least_error_range(values_N, weights_N, symmetric=False) == pytest.approx(found(repeated_N))
