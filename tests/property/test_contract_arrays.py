"""The numeric side of the contract: telemetry layout, tensors, preprocessing and signals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fleet_contract import preprocessing, signals, telemetry, tensors
from fleet_contract.errors import ContractError

finite = st.floats(-1e3, 1e3, width=32)
batches = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=4, min_side=1, max_side=5), elements=finite)


@given(
    signal_count=st.integers(1, telemetry.MAX_SIGNALS),
    class_count=st.integers(1, 40),
    count=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
)
def test_telemetry_batches_round_trip(signal_count: int, class_count: int, count: int, seed: int) -> None:
    """Windows come back bit for bit, whatever numbers they hold."""
    dtype = telemetry.window_dtype(signal_count, class_count)
    data = np.random.default_rng(seed).bytes(dtype.itemsize * count)
    windows = np.frombuffer(data, dtype)
    assert telemetry.decode_batch(telemetry.encode_batch(windows)).tobytes() == data


@given(data=st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: telemetry.MAGIC + b"\x01\x00" + tail))
def test_any_bytes_are_a_batch_or_a_contract_error(data: bytes) -> None:
    """Decoding never raises anything but ContractError and never reads past the bytes."""
    try:
        windows = telemetry.decode_batch(data)
    except ContractError:
        return
    assert windows.nbytes < len(data)


def test_a_window_of_ten_classes_is_about_half_a_kilobyte() -> None:
    """The layout keeps the budget that a metered link can pay once a minute."""
    names = signals.signal_names(10)
    assert telemetry.window_dtype(len(names), 10).itemsize <= 640


@given(values=st.lists(st.floats(0.02, 500.0), min_size=1, max_size=200), quantile=st.floats(0.01, 1.0))
def test_latency_quantiles_err_upward_by_less_than_a_fifth(values: list[float], quantile: float) -> None:
    """The histogram's quantile is never below the true one and less than 19 % above it."""
    latencies_ms = np.array(values)
    counts = np.bincount(telemetry.latency_bins(latencies_ms), minlength=telemetry.LATENCY_BINS)
    exact_ms = np.sort(latencies_ms)[max(0, int(np.ceil(quantile * len(values) - 1e-9)) - 1)]
    measured_ms = telemetry.latency_quantile_ms(counts, quantile)
    assert exact_ms * 0.999 <= measured_ms <= exact_ms * 1.2


@given(
    real_B=batches,
    scale=st.floats(0.001, 1.0),
    zero_point=st.integers(-128, 127),
)
def test_quantization_saturates_and_comes_back_within_half_a_step(
    real_B: np.ndarray, scale: float, zero_point: int
) -> None:
    """Inside the representable range the error is at most half a step; outside, the nearest end is stored."""
    spec = tensors.TensorSpec(
        name="x", dtype=tensors.DType.INT8, shape=real_B.shape[1:], scale=scale, zero_point=zero_point
    )
    back_B = tensors.dequantize(tensors.quantize(real_B, spec), spec)
    low, high = ((-128 - zero_point) * scale, (127 - zero_point) * scale)
    nearest_B = np.clip(real_B, low, high)
    assert np.all(np.abs(back_B - nearest_B) <= scale * 0.501 + 1e-3 * np.abs(nearest_B))


@given(batch_B=batches)
def test_preprocessing_does_not_depend_on_the_batch(batch_B: np.ndarray) -> None:
    """A sample comes out bit-equal alone and among others, so training and serving agree."""
    width = batch_B.shape[-1]
    steps: tuple[preprocessing.Transform, ...] = (
        preprocessing.Scale(factor=0.5, offset=1.0),
        preprocessing.Standardize(mean=(0.25,) * width, std=(2.0,) * width),
        preprocessing.StandardizeEach(),
        preprocessing.Clip(low=-3.0, high=3.0),
    )
    together_B = preprocessing.apply(steps, batch_B)
    assert together_B.dtype == np.float32
    for row, sample in enumerate(batch_B):
        alone = preprocessing.apply(steps, sample[None])[0]
        assert alone.tobytes() == together_B[row].tobytes()


def test_standardizing_a_constant_sample_without_epsilon_shows_as_nan() -> None:
    """The trap that probation must catch: a blank frame becomes not-a-number, without a warning."""
    steps = (preprocessing.StandardizeEach(epsilon=0.0),)
    assert np.isnan(preprocessing.apply(steps, np.zeros((1, 4, 4)))).all()


@given(
    input_B=hnp.arrays(np.float32, (3, 5), elements=finite),
    scores=hnp.arrays(np.float32, (3, 4), elements=st.floats(-0.125, 1.125, width=32)),
)
def test_signals_are_finite_and_named(input_B: np.ndarray, scores: np.ndarray) -> None:
    """One finite number a name and frame, even for scores a little outside [0, 1]."""
    names = signals.signal_names(4)
    values_BS = signals.frame_signals(input_B, scores)
    assert values_BS.shape == (3, len(names))
    assert np.isfinite(values_BS).all()
    assert [names[column] for column in signals.histogram_columns(names)] == list(signals.HISTOGRAM_SIGNALS)


@pytest.mark.parametrize("shape", [(2,), (1, 3), (1, 2, 1), (0, 2)])
def test_a_batch_of_another_shape_is_refused_with_both_shapes(shape: tuple[int, ...]) -> None:
    """The message names the tensor, what came and what was expected."""
    spec = tensors.TensorSpec(name="image", dtype=tensors.DType.UINT8, shape=(2,))
    with pytest.raises(ContractError, match=r"tensor image: got .* expected"):
        tensors.check_batch(np.zeros(shape), spec)
