"""Ranges of activations: full, or clipped where int8 rounds with the least squared error."""

from __future__ import annotations

from math import gcd

import numpy as np
import pytest

from converter.backends.tflite.activations import Activation, observe, spread
from converter.backends.tflite.ranges import bounds, clip
from converter.recipe import Ranges
from fleet_contract.errors import ModelError
from tests.fakes.converter_tflite_models import rows, single_dense, small_cnn, square_root


def squared_error(sample: np.ndarray[tuple[int], np.dtype[np.float32]], low: float, high: float) -> float:
    """Of int8 in that range, value by value, as the runtime rounds."""
    scale = (max(high, 0.0) - min(low, 0.0)) / 255
    zero = np.round(-128 - min(low, 0.0) / scale)
    stored = np.clip(np.round(sample / scale) + zero, -128, 127)
    return float(np.square((stored - zero) * scale - sample).mean())


def activation(lows: list[float], highs: list[float], sample: list[list[float]]) -> Activation:
    """An activation of those rows."""
    lows_B, highs_B, sample_BS = (np.asarray(each, np.float32) for each in (lows, highs, sample))
    return Activation("a", 2, lows_B, highs_B, sample_BS, means_BC=None)


def test_full_range_is_that_of_the_chosen_rows() -> None:
    """Rows that are not used do not widen it."""
    found = bounds({"a": activation([-1, -9, -2], [1, 9, 3], [[0], [0], [0]])}, Ranges.MINMAX, np.array([0, 2]))
    assert found == {"a": (-2.0, 3.0)}


def test_long_tails_are_clipped_and_the_error_becomes_less() -> None:
    """Few values, far out, do not set the steps of all."""
    sample = np.random.default_rng(1).laplace(size=100_000).astype(np.float32)
    full = float(sample.min()), float(sample.max())
    low, high = clip(sample, *full)
    assert full[0] < low < 0.0 < high < full[1]
    assert squared_error(sample, low, high) < 0.9 * squared_error(sample, *full)


@pytest.mark.parametrize("seed", range(4))
def test_the_clip_is_near_the_best_that_a_fine_search_finds(seed: int) -> None:
    """Within 5 % of the error of the best of 3,600 pairs of ends."""
    rng = np.random.default_rng(seed)
    sample = (rng.standard_t(3 + seed, 5000) * 2 + rng.uniform(-1, 1)).astype(np.float32)
    low, high = float(sample.min()), float(sample.max())
    fractions = np.linspace(0.05, 1.0, 60)
    best = min(squared_error(sample, low * down, high * up) for down in fractions for up in fractions)
    assert squared_error(sample, *clip(sample, low, high)) <= 1.05 * best


def test_an_even_spread_is_not_clipped() -> None:
    """Where every value is as frequent, clipping would cost more than it gains."""
    sample = np.linspace(0.0, 6.0, 20_000, dtype=np.float32)
    assert clip(sample, 0.0, 6.0) == pytest.approx((0.0, 6.0))


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.0), (2.0, 5.0), (-5.0, -2.0)])
def test_zero_stays_in_the_range(low: float, high: float) -> None:
    """The runtime pads with it."""
    sample = np.linspace(low, high, 100, dtype=np.float32)
    found = clip(sample, low, high)
    assert found[0] <= 0.0 <= found[1]


@pytest.mark.parametrize(("size", "limit"), [(10, 20), (1000, 64), (4096, 100), (9 * 64, 7)])
def test_picked_positions_are_few_distinct_and_on_every_channel(size: int, limit: int) -> None:
    """A sample of an NHWC tensor that fell into step with the channels would see one of them only."""
    picked = spread(size, limit)
    assert len(set(picked.tolist())) == len(picked) == min(size, limit)
    assert picked.max() < size
    channels = 8
    if limit >= 64 and gcd(size, channels) == channels:
        assert np.bincount(picked % channels, minlength=channels).min() >= limit // channels - 2


def test_what_is_observed_is_what_a_dense_layer_computes() -> None:
    """Least, greatest and mean values per row, of input and output."""
    weights, bias = np.array([[1.0, 0.0], [0.0, -2.0]], np.float32), np.array([0.5, 0.0], np.float32)
    inputs_B = np.array([[1.0, 2.0], [-3.0, 4.0]], np.float32)
    seen = observe(single_dense(weights, bias), inputs_B)
    assert list(seen) == ["features", "logits"]
    logits = seen["logits"]
    assert (logits.lows_B.tolist(), logits.highs_B.tolist()) == ([-4.0, -8.0], [1.5, -2.5])
    assert logits.means_BC is not None
    assert logits.means_BC.tolist() == [[1.5, -4.0], [-2.5, -8.0]]


def test_observing_twice_gives_the_same() -> None:
    """No random number decides what is kept."""
    first, second = (observe(small_cnn(), rows(8)) for _ in range(2))
    for name, each in first.items():
        assert each.sample_BS.tobytes() == second[name].sample_BS.tobytes()


def test_an_activation_that_is_not_finite_is_named_with_its_row() -> None:
    """The square root of a negative number."""
    inputs_B = np.array([[1.0, 4.0], [1.0, -4.0]], np.float32)
    with pytest.raises(ModelError, match="activation 'root': calibration row 1 makes it nan"):
        observe(square_root(2), inputs_B)


def test_rows_of_another_shape_are_refused() -> None:
    """The message has both shapes."""
    with pytest.raises(ModelError, match=r"model input: got \(2, 5\)"):
        observe(square_root(2), np.zeros((2, 5), np.float32))
