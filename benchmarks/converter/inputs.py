"""Inputs for models whose own data sets are not here: real photographs, and sounds that are synthesised.

They are of the right shape and range; parity with the float model needs no more. Accuracy needs the real data, which
only our own projects have. Legend: B rows, H height, W width, T time steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000


def photo_patches(rows: int, size: int, *, scale: float) -> NDArray[np.float32]:
    """Square patches (B, size, size, 3) of scikit-learn's two photographs, at three magnifications."""
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(3)
    photos = load_sample_images().images
    patches = np.empty((rows, size, size, 3), np.float32)
    for row in range(rows):
        photo = photos[row % len(photos)]
        step = int(rng.choice([1, 2, 3]))
        top = int(rng.integers(0, photo.shape[0] - size * step))
        left = int(rng.integers(0, photo.shape[1] - size * step))
        patch = photo[top : top + size * step : step, left : left + size * step : step]
        gain = rng.uniform(0.6, 1.3)
        patches[row] = np.clip(patch[:, :: int(rng.choice([1, -1]))] * gain, 0, 255)
    return patches * np.float32(scale)


def spoken(rows: int) -> NDArray[np.float32]:
    """MFCC (B, 49, 10, 1) of one second of gliding harmonics with gaps and noise, in the range of keyword spotting."""
    return np.stack([_mfcc(_utterance(np.random.default_rng(row))) for row in range(rows)])[..., np.newaxis]


def machine_hum(rows: int) -> NDArray[np.float32]:
    """Five frames of 128 log-mel bands (B, 640) of motors: harmonics of a slowly varying pitch over coloured noise."""
    rng = np.random.default_rng(5)
    bands = np.arange(128)
    floor = -35.0 - 20.0 * bands / 128
    frames = np.empty((rows, 5, 128), np.float32)
    for row in range(rows):
        pitch, tilt = rng.uniform(4, 14), rng.normal(0, 3)
        comb = 18.0 * np.exp(-0.5 * ((bands % pitch) / 0.8) ** 2) * np.exp(-bands / 70)
        drift = np.cumsum(rng.normal(0, 0.6, (5, 1)), axis=0)
        frames[row] = floor + tilt + comb + drift + rng.normal(0, 2.5, (5, 128))
    return frames.reshape(rows, 640)


def _utterance(rng: np.random.Generator) -> NDArray[np.float64]:
    seconds = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    pitch_hz = rng.uniform(90, 220) * (1 + rng.normal(0, 0.15) * seconds)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    formants_hz = rng.uniform((300, 900, 2000), (800, 1800, 3000))
    voice = np.zeros_like(seconds)
    for harmonic in range(1, 30):
        frequency_hz = harmonic * pitch_hz
        loudness = sum(np.exp(-0.5 * ((frequency_hz - each) / 150) ** 2) for each in formants_hz)
        voice += loudness * np.sin(harmonic * phase)
    begin, length = rng.uniform(0.05, 0.4), rng.uniform(0.2, 0.6)
    envelope = np.clip(np.minimum(seconds - begin, begin + length - seconds) * 20, 0, 1)
    return voice * envelope * rng.uniform(0.05, 0.5) + rng.normal(0, 0.002, seconds.shape)


def _mfcc(sound: NDArray[np.float64]) -> NDArray[np.float32]:
    """49 frames of 40 ms every 20 ms, 40 mel bands from 20 to 4000 Hz, the first 10 cosine coefficients."""
    from scipy.fft import dct

    frames_TN = np.lib.stride_tricks.sliding_window_view(sound, 640)[::320][:49] * np.hanning(640)
    power_TF = np.abs(np.fft.rfft(frames_TN, 1024)) ** 2
    log_mel = np.log(power_TF @ _mel_bands().T + 1e-12)
    return dct(log_mel, type=2, norm="ortho")[:, :10].astype(np.float32)


def _mel_bands() -> NDArray[np.float64]:
    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2595 * np.log10(1 + hertz / 700)

    bins_mel = mel(np.fft.rfftfreq(1024, 1 / SAMPLE_RATE_HZ))
    edges = np.linspace(mel(np.array(20.0)), mel(np.array(4000.0)), 42)
    rising = (bins_mel - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins_mel) / (edges[2:] - edges[1:-1])[:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


INPUTS: dict[str, Callable[[int], NDArray[np.float32]]] = {
    "photos-32": lambda rows: photo_patches(rows, 32, scale=1.0),
    "photos-96": lambda rows: photo_patches(rows, 96, scale=1 / 255),
    "spoken": spoken,
    "hum": machine_hum,
}
