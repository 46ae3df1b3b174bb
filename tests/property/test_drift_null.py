"""Drift verdicts on simulated fleets: how often they are wrong when nothing drifts, and whether they see drift.

Rates are over fixed seeds, so that a failure is a change of the method and not bad luck.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_server.monitors.baseline import DeviceBaseline, tiers
from fleet_server.monitors.drift import (
    Calibrated,
    Scores,
    alarming,
    benjamini_hochberg,
    calibrate,
    device_p_value,
    score,
    tail_factor,
)
from tests.fakes.server_noise import CLASSES, NOISES, SIGNALS, SPREAD, baselines, windows

if TYPE_CHECKING:
    from numpy.typing import NDArray

COMMON = "student-3-common"
RATE = 0.001
NEW = 60


def score_all(calibrated: Calibrated, known: list[DeviceBaseline], means_DNS: NDArray[np.float64]) -> list[Scores]:
    """The scores of every device's new windows."""
    counts_N = np.full(means_DNS.shape[1], 60.0)
    return [score(calibrated, each, new, counts_N) for each, new in zip(known, means_DNS, strict=True)]


def false_alarms(noise: str, devices: int, size: int, fleets: int = 16) -> tuple[float, float]:
    """(unusual windows, alarming devices), both as shares, over fleets in which nothing drifts."""
    rng = np.random.default_rng(20260101)
    unusual: list[float] = []
    alarms: list[bool] = []
    for _ in range(fleets):
        means_DNS = windows(rng, noise, devices=devices, windows=size + NEW)
        known = baselines(means_DNS[:, :size])
        for tier in tiers(CLASSES):
            calibrated = calibrate(known, tier, RATE)
            assert calibrated is not None
            scored = [
                score(calibrated, each, new, np.full(NEW, 60.0))
                for each, new in zip(known, means_DNS[:, size:], strict=True)
            ]
            unusual += [float((each.ratio_N > 1.0).mean()) for each in scored]
            for start in range(0, NEW, 3):
                recent = [each.p_N[start : start + 3].tolist() for each in scored]
                alarms += alarming(recent, rate=RATE, needed=2, false_discovery_rate=0.05)
    return float(np.mean(unusual)), float(np.mean(alarms))


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize(("devices", "size"), [(5, 12), (1, 48), (10, 48)])
def test_a_healthy_fleet_seldom_alarms(noise: str, devices: int, size: int) -> None:
    """Windows are unusual about once in a thousand, at most three times; devices alarm less than once in a thousand.

    Twelve windows that are strongly correlated in time say less than twelve: there the rates may be twice that.
    """
    unusual, alarms = false_alarms(noise, devices, size)
    slack = 2.0 if (noise, size) == ("autocorrelated", 12) else 1.0
    assert unusual <= 0.003 * slack
    assert alarms <= 0.001 * slack


@pytest.mark.parametrize(
    ("noise", "devices", "size"),
    [(noise, *fleet) for noise in NOISES for fleet in ((5, 12), (10, 48)) if (noise, fleet) != (COMMON, (5, 12))],
)
def test_a_drifted_device_alarms_and_the_others_do_not(noise: str, devices: int, size: int) -> None:
    """One device whose signals move by twenty standard deviations (sixty where whole windows are odd) alarms, alone.

    Sixty windows of which some are odd as a whole are too few to see even that: the threshold then errs to silence.
    """
    rng = np.random.default_rng(7)
    means_DNS = windows(rng, noise, devices=devices, windows=size + 3)
    known = baselines(means_DNS[:, :size])
    _, model_tier = tiers(CLASSES)
    calibrated = calibrate(known, model_tier, RATE)
    assert calibrated is not None
    size_sd = 60.0 if noise == COMMON else 20.0
    means_DNS[0, size:, 3:7] += size_sd * SPREAD * np.array([-1.0, 1.0, -1.0, -1.0])
    scored = score_all(calibrated, known, means_DNS[:, size:])
    found = alarming([each.p_N.tolist() for each in scored], rate=RATE, needed=2, false_discovery_rate=0.05)
    assert found == [True, *[False] * (devices - 1)]


def test_power_on_normal_noise() -> None:
    """With 10 devices and 48 windows each, a shift of 8 standard deviations in one signal is seen in most windows."""
    rng = np.random.default_rng(11)
    means_DNS = windows(rng, "normal", devices=10, windows=48 + NEW)
    known = baselines(means_DNS[:, :48])
    means_DNS[:, 48:, 3] -= 8.0 * SPREAD
    calibrated = calibrate(known, tiers(CLASSES)[1], RATE)
    assert calibrated is not None
    seen = [(each.ratio_N > 1.0).mean() for each in score_all(calibrated, known, means_DNS[:, 48:])]
    assert np.mean(seen) > 0.8


@pytest.mark.parametrize(("devices", "size"), [(1, 3), (1, 12), (2, 6), (5, 3)])
def test_too_little_baseline_gives_no_verdict(devices: int, size: int) -> None:
    """Where 14 model signals meet too few windows there is no verdict at all."""
    means_DNS = windows(np.random.default_rng(1), "normal", devices=devices, windows=size)
    assert calibrate(baselines(means_DNS), tiers(CLASSES)[1], RATE) is None


def test_no_baseline_gives_no_verdict() -> None:
    """An empty fleet has no normal."""
    assert calibrate([], tiers(CLASSES)[0], RATE) is None


def test_windows_with_few_frames_do_not_alarm_for_that() -> None:
    """Windows with a quarter of the usual frames vary twice as much, and are no more often unusual."""
    rng = np.random.default_rng(3)
    level = 0.5 + 0.1 * rng.normal(size=(10, 1, SIGNALS))
    known = baselines(level + SPREAD * rng.normal(size=(10, 48, SIGNALS)))
    calibrated = calibrate(known, tiers(CLASSES)[1], RATE)
    assert calibrated is not None
    small = level + 2.0 * SPREAD * rng.normal(size=(10, 200, SIGNALS))
    unusual = [
        (score(calibrated, each, new, np.full(200, 15.0)).ratio_N > 1.0).mean()
        for each, new in zip(known, small, strict=True)
    ]
    assert np.mean(unusual) <= 0.002


def test_signals_that_never_move_are_left_out_and_sums_to_one_do_no_harm() -> None:
    """A constant signal and class shares that sum to one leave the statistic finite and calibrated."""
    rng = np.random.default_rng(5)
    means_DNS = windows(rng, "normal", devices=5, windows=48)
    means_DNS[:, :, 0] = 0.25
    shares = rng.dirichlet(np.full(CLASSES, 50.0), size=means_DNS.shape[:2])
    means_DNS[:, :, 7:] = shares
    known = baselines(means_DNS)
    for tier in tiers(CLASSES):
        calibrated = calibrate(known, tier, RATE)
        assert calibrated is not None
        assert 0 not in calibrated.model.columns
        assert np.isfinite(score(calibrated, known[0], means_DNS[0], np.full(48, 60.0)).ratio_N).all()


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(0.0, 1.0), max_size=30), st.floats(0.001, 0.5))
def test_benjamini_hochberg_rejects_the_smallest(p_values: list[float], rate: float) -> None:
    """Whatever is rejected is no greater than what is not, and Bonferroni's rejections are among them."""
    rejected = benjamini_hochberg(p_values, rate)
    kept = [p for p, out in zip(p_values, rejected, strict=True) if not out]
    gone = [p for p, out in zip(p_values, rejected, strict=True) if out]
    assert not kept or not gone or max(gone) <= min(kept)
    assert all(out for p, out in zip(p_values, rejected, strict=True) if p <= rate / len(p_values))


@given(st.lists(st.floats(0.0, 1.0), max_size=5), st.integers(1, 3))
def test_a_device_needs_enough_windows(p_values: list[float], needed: int) -> None:
    """With fewer windows than needed the p-value is 1; it is never below the order statistic."""
    p = device_p_value(p_values, needed)
    assert p == 1.0 if len(p_values) < needed else p >= min(1.0, sorted(p_values)[needed - 1])


@given(st.lists(st.floats(0.0, 50.0), min_size=2, max_size=200))
def test_the_tail_factor_covers_all_that_was_seen(ratios: list[float]) -> None:
    """No baseline window of the fleet's own would have been unusual."""
    assert tail_factor(np.array(ratios), RATE) >= max(1.0, *ratios)


def test_a_device_without_a_left_out_block_still_counts() -> None:
    """Devices with very few windows beside ones with many do not break the calibration."""
    rng = np.random.default_rng(9)
    many = baselines(windows(rng, "normal", devices=4, windows=48))
    few = DeviceBaseline(many[0].means_NS[:2], many[0].counts_N[:2])
    assert calibrate([*many, few], tiers(CLASSES)[1], RATE) is not None
