"""Telemetry windows: a fixed, versioned binary layout that numpy reads without a loop.

A batch is a 16-byte header (magic, layout version, S, K, number of windows) and that many records of one
structured dtype, little-endian. Windows with other S or K (another model) go in another batch.
Legend: S signals, K classes, H histograms of HISTOGRAM_BINS bins.

The latency histogram has LATENCY_BINS bins with edges LATENCY_FLOOR_MS * 2**(i / LATENCY_BINS_PER_OCTAVE);
the first also holds what is faster, the last what is slower.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ContractError
from fleet_contract.signals import HISTOGRAM_BINS, HISTOGRAM_SIGNALS

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC: Final = b"EFWB"
LAYOUT: Final = 1
MAX_SIGNALS: Final = 64
MAX_CLASSES: Final = 1024
MAX_WINDOWS: Final = 512
LATENCY_BINS: Final = 64
LATENCY_BINS_PER_OCTAVE: Final = 4
LATENCY_FLOOR_MS: Final = 0.01

_HEADER: Final = struct.Struct("<4sHHHHI")


def window_dtype(signal_count: int, class_count: int) -> np.dtype[np.void]:
    """The record of one window. Counts saturate at their type's maximum.

    `slot` is ASCII, zero-padded; `release` the first 16 bytes of the SHA-256 of release.json; `started_s` and
    `duration_s` are Unix seconds; `means` and `squares` the means of each signal and of its square over `count`
    frames; `errors` counts failed requests, `invalid` non-finite results (neither is in `count`); `temperature_c`
    is NaN where the board does not tell; `probation` is 1 while the release is on probation.
    """
    return np.dtype(
        [
            ("seq", "<u8"),
            ("started_s", "<f8"),
            ("duration_s", "<f4"),
            ("slot", "S16"),
            ("release", "V16"),
            ("model_version", "<u4"),
            ("count", "<u4"),
            ("errors", "<u4"),
            ("invalid", "<u4"),
            ("rss_mb", "<f4"),
            ("temperature_c", "<f4"),
            ("throttled", "u1"),
            ("probation", "u1"),
            ("reserved", "<u2"),
            ("means", "<f4", (signal_count,)),
            ("squares", "<f4", (signal_count,)),
            ("classes", "<u4", (class_count,)),
            ("histograms", "<u2", (len(HISTOGRAM_SIGNALS), HISTOGRAM_BINS)),
            ("latency", "<u2", (LATENCY_BINS,)),
        ]
    )


def encode_batch(windows: NDArray[np.void]) -> bytes:
    """One message with all `windows`, which share one `window_dtype`.

    Raises:
        ContractError: another dtype, no window, or too many.
    """
    names = windows.dtype.names or ()
    if "means" not in names or "classes" not in names:
        raise ContractError.mismatch("telemetry windows", got=windows.dtype, expected="a window_dtype")
    signal_count, class_count = windows.dtype["means"].shape[0], windows.dtype["classes"].shape[0]
    if not 1 <= len(windows) <= MAX_WINDOWS:
        raise ContractError.mismatch("telemetry windows", got=len(windows), expected=f"1 to {MAX_WINDOWS}")
    expected = window_dtype(signal_count, class_count)
    if windows.dtype != expected:
        raise ContractError.mismatch("telemetry windows", got=windows.dtype, expected=expected)
    return _HEADER.pack(MAGIC, LAYOUT, signal_count, class_count, 0, len(windows)) + windows.tobytes()


def decode_batch(data: bytes) -> NDArray[np.void]:
    """The windows of a batch as a read-only structured array over `data`, without a copy.

    Raises:
        ContractError: not a batch, another layout version, or a length that does not fit its header.
    """
    if len(data) < _HEADER.size or data[:4] != MAGIC:
        raise ContractError.mismatch("telemetry batch", got=data[:4], expected=f"{MAGIC!r} and a header")
    _, layout, signal_count, class_count, _, count = _HEADER.unpack_from(data)
    if layout != LAYOUT:
        raise ContractError.mismatch("telemetry layout", got=layout, expected=LAYOUT)
    if not (1 <= signal_count <= MAX_SIGNALS and 1 <= class_count <= MAX_CLASSES and 1 <= count <= MAX_WINDOWS):
        raise ContractError.mismatch(
            "telemetry batch",
            got=f"{signal_count} signals, {class_count} classes, {count} windows",
            expected=f"at most {MAX_SIGNALS}, {MAX_CLASSES} and {MAX_WINDOWS}",
        )
    dtype = window_dtype(signal_count, class_count)
    expected_bytes = _HEADER.size + count * dtype.itemsize
    if len(data) != expected_bytes:
        raise ContractError.mismatch("telemetry batch", got=f"{len(data)} bytes", expected=f"{expected_bytes} bytes")
    return np.frombuffer(data, dtype, count, _HEADER.size)


def latency_bins(latency_ms: NDArray[np.float64]) -> NDArray[np.intp]:
    """The bin of each latency."""
    octaves = np.log2(np.maximum(latency_ms, LATENCY_FLOOR_MS) / LATENCY_FLOOR_MS)
    return np.minimum((octaves * LATENCY_BINS_PER_OCTAVE).astype(np.intp), LATENCY_BINS - 1)


def latency_quantile_ms(counts: NDArray[np.integer], quantile: float) -> float:
    """Upper edge, in ms, of the bin that holds the quantile; NaN without any count. Error below 19 % upward."""
    total = int(counts.sum())
    if total == 0:
        return float("nan")
    position = int(np.searchsorted(np.cumsum(counts), quantile * total, side="left"))
    return float(LATENCY_FLOOR_MS * 2.0 ** ((position + 1) / LATENCY_BINS_PER_OCTAVE))
