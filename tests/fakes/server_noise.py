"""Simulated signal means of fleets of windows: light and heavy tails, correlation in time and between signals."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_server.monitors.baseline import DeviceBaseline

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOISES = ("normal", "student-3", "student-3-common", "lognormal", "autocorrelated")
CLASSES = 10
SIGNALS = 7 + CLASSES
SPREAD = 0.02


def windows(
    rng: np.random.Generator, noise: str, *, devices: int, windows: int, correlation: float = 0.5
) -> NDArray[np.float64]:
    """Signal means of shape (devices, windows, SIGNALS), each device around a level of its own."""
    shape = (devices, windows, SIGNALS)
    shared = (1.0 - correlation) * np.eye(SIGNALS) + correlation * np.ones((SIGNALS, SIGNALS))
    mixed = _draw(rng, noise, shape) @ np.linalg.cholesky(shared).T
    level = 0.5 + 0.1 * rng.normal(size=(devices, 1, SIGNALS))
    means: NDArray[np.float64] = level + SPREAD * mixed
    return means


def baselines(means_DNS: NDArray[np.float64], count: float = 60.0) -> list[DeviceBaseline]:
    """Each device's windows as its baseline."""
    return [DeviceBaseline(each, np.full(len(each), count)) for each in means_DNS]


def _draw(rng: np.random.Generator, noise: str, shape: tuple[int, int, int]) -> NDArray[np.float64]:
    drawn: NDArray[np.float64] = rng.normal(size=shape)
    if noise == "student-3":
        drawn = rng.standard_t(3, size=shape) / np.sqrt(3.0)
    elif noise == "student-3-common":  # whole windows are odd at once
        drawn = drawn / np.sqrt(rng.gamma(1.5, 1.0 / 1.5, size=(*shape[:2], 1)))
    elif noise == "lognormal":
        drawn = np.exp(0.8 * drawn)
    elif noise == "autocorrelated":
        for index in range(1, shape[1]):
            drawn[:, index] = 0.7 * drawn[:, index - 1] + np.sqrt(0.51) * drawn[:, index]
    return drawn
