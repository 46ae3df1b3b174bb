"""Windows sum up frames exactly, however they were buffered."""

from __future__ import annotations

import numpy as np
import pytest

from device_agent.telemetry.board import Board
from device_agent.telemetry.window import BUFFER_BYTES, BUFFER_FRAMES, WindowIdentity, WindowSums
from fleet_contract.errors import ModelError
from fleet_contract.reference_profile import ReferenceProfile
from fleet_contract.signals import frame_signals, histogram_columns, signal_names
from fleet_contract.telemetry import decode_batch, encode_batch
from tests.fakes.host_releases import digits, reference_profile

BOARD = Board(rss_mb=51.0, temperature_c=44.5, throttled=True)
IDENTITY = WindowIdentity("main", "ab" * 32, 7)


def _sums() -> WindowSums:
    return WindowSums(IDENTITY, reference_profile(), 10)


def _close(sums: WindowSums, *, probation: bool = False) -> np.void:
    window: np.void = sums.close(started_s=1000.0, duration_s=60.0, board=BOARD, probation=probation)[0]
    return window


def _add(sums: WindowSums, count: int, batch: int) -> None:
    data = digits()
    for row in range(0, count, batch):
        inputs_B = data.inputs[row : row + batch].astype(np.float32) / np.float32(16)
        sums.add(inputs_B, data.outputs[row : row + batch], 0.5)


def test_a_window_holds_what_frame_signals_say() -> None:
    """Means, squares, classes and histograms are those of all frames together."""
    sums = _sums()
    _add(sums, 120, 1)
    window = _close(sums)
    data = digits()
    signals_BS = frame_signals(data.inputs[:120].astype(np.float32) / np.float32(16), data.outputs[:120])
    assert window["count"] == 120
    np.testing.assert_allclose(window["means"], signals_BS.mean(0), rtol=1e-5)
    np.testing.assert_allclose(window["squares"], np.square(signals_BS.astype(np.float64)).mean(0), rtol=1e-5)
    assert window["classes"].tolist() == np.bincount(data.outputs[:120].argmax(1), minlength=10).tolist()
    edges = reference_profile().histograms[0].edges
    confidence_B = signals_BS[:, histogram_columns(signal_names(10))[0]]
    expected = np.histogram(confidence_B, bins=np.concatenate([[-np.inf], edges, [np.inf]]))[0]
    assert window["histograms"][0].tolist() == expected.tolist()


def test_buffering_changes_nothing() -> None:
    """Absorbing after every frame, and once for all, give the same window."""
    often, once = _sums(), _sums()
    for row in range(90):
        data = digits()
        often.add(data.inputs[row : row + 1].astype(np.float32), data.outputs[row : row + 1], 0.5)
        often.absorb()
        once.add(data.inputs[row : row + 1].astype(np.float32), data.outputs[row : row + 1], 0.5)
    a, b = _close(often), _close(once)
    np.testing.assert_allclose(a["means"], b["means"], rtol=1e-6)
    for field in ("classes", "histograms", "latency", "count"):
        assert np.array_equal(a[field], b[field])


def test_identity_board_and_marks_stand_in_the_record() -> None:
    """Slot, release, version, probation and board figures are where the layout has them; seq is left to the spool."""
    sums = _sums()
    _add(sums, 30, 10)
    sums.add_error()
    sums.add_invalid()
    window = decode_batch(encode_batch(sums.close(started_s=9.5, duration_s=61.0, board=BOARD, probation=True)))[0]
    assert (window["seq"], window["slot"], bytes(window["release"])) == (0, b"main", bytes.fromhex("ab" * 16))
    assert (window["model_version"], window["probation"], window["throttled"]) == (7, 1, 1)
    assert (window["started_s"], window["duration_s"], window["rss_mb"]) == (9.5, 61.0, 51.0)
    assert (window["errors"], window["invalid"], window["count"]) == (1, 1, 30)


def test_latency_counts_requests_not_frames() -> None:
    """A request with ten rows is one latency."""
    sums = _sums()
    _add(sums, 40, 10)
    assert _close(sums)["latency"].sum() == 4


def test_a_closed_window_leaves_an_empty_one() -> None:
    """The next window starts from nothing."""
    sums = _sums()
    _add(sums, 64, 1)
    _close(sums)
    assert sums.frames == 0
    assert _close(sums)["count"] == 0


def test_histogram_counts_saturate() -> None:
    """More frames in a bin than the layout can hold count as its largest number."""
    sums = _sums()
    inputs_B = np.repeat(digits().inputs[:1].astype(np.float32), 1000, axis=0)
    scores_BK = np.repeat(digits().outputs[:1], 1000, axis=0)
    for _ in range(70):
        sums.add(inputs_B, scores_BK, 0.5)
        sums.absorb()
    window = _close(sums)
    assert window["count"] == 70_000
    assert window["histograms"].max() == 65_535


@pytest.mark.parametrize(("frames", "full"), [(BUFFER_FRAMES - 1, False), (BUFFER_FRAMES, True)])
def test_many_small_frames_ask_to_be_absorbed(frames: int, full: bool) -> None:  # noqa: FBT001 - a test's parameter
    """The buffer holds only so many frames."""
    sums = _sums()
    _add(sums, frames, 1)
    assert sums.full is full


def test_a_few_big_frames_ask_to_be_absorbed() -> None:
    """The buffer holds only so many bytes."""
    sums = _sums()
    sums.add(np.zeros((1, BUFFER_BYTES // 4), np.float32), digits().outputs[:1], 1.0)
    assert sums.full


def test_classes_past_the_layout_fall_into_its_last_place() -> None:
    """A model with more classes than a window holds still counts every frame."""
    sums = WindowSums(IDENTITY, reference_profile(), 2000)
    scores_BK = np.eye(2000, dtype=np.float32)[[5, 1500, 1999]]
    sums.add(np.zeros((3, 4), np.float32), scores_BK, 1.0)
    window = _close(sums)
    assert window["classes"].shape == (1024,)
    assert (window["classes"][5], window["classes"][1023]) == (1, 2)


def test_a_profile_without_a_histogram_is_refused() -> None:
    """Windows that could not be merged with others of the release are never made."""
    profile = reference_profile()
    broken = ReferenceProfile(
        sample_count=1, signals=(), histograms=profile.histograms[:1], class_shares=(), accuracy_by_confidence=()
    )
    with pytest.raises(ModelError, match="expected also entropy, input_mean"):
        WindowSums(IDENTITY, broken, 10)
