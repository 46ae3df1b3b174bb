"""Per-frame signals: the few numbers about each inference that telemetry windows sum up.

The converter computes them on the held-out set for the reference profile and the model host on live traffic,
with this one function, so the two can be compared. Legend: B batch, K classes, S signals, H histograms.

Source: docs/measurements.md, drift (three generic input statistics plus output statistics).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

INPUT_SIGNALS: Final = ("input_mean", "input_std", "input_roughness")
OUTPUT_SIGNALS: Final = ("confidence", "entropy", "margin", "log_top")
MAX_CLASS_SIGNALS: Final = 16
HISTOGRAM_SIGNALS: Final = ("confidence", "entropy", "input_mean")
HISTOGRAM_BINS: Final = 32


def signal_names(class_count: int) -> tuple[str, ...]:
    """Names of the S signals of a model with `class_count` outputs, in the order of `frame_signals`."""
    classes = tuple(f"class_{index}" for index in range(min(class_count, MAX_CLASS_SIGNALS)))
    return INPUT_SIGNALS + OUTPUT_SIGNALS + classes


def frame_signals(input_B: NDArray[np.float32], scores_BK: NDArray[np.float32]) -> NDArray[np.float32]:
    """The signals of each frame, shape (B, S).

    Args:
        input_B: preprocessed inputs, any shape after the batch axis; all finite.
        scores_BK: class probabilities; all finite, clipped to [0, 1] here against quantization noise.
    """
    flat_BN = input_B.reshape(len(input_B), -1)
    neighbours_B = np.abs(np.diff(flat_BN, axis=1)).mean(1) if flat_BN.shape[1] > 1 else np.zeros(len(flat_BN))
    probability_BK = np.clip(scores_BK.reshape(len(scores_BK), -1), 0.0, 1.0)
    ordered_BK = np.sort(probability_BK, axis=1)
    top_B = ordered_BK[:, -1]
    second_B = ordered_BK[:, -2] if ordered_BK.shape[1] > 1 else 1.0 - top_B
    safe_BK = np.maximum(probability_BK, 1e-7)
    columns = [
        flat_BN.mean(1),
        flat_BN.std(1),
        neighbours_B,
        top_B,
        -(safe_BK * np.log(safe_BK)).sum(1),
        top_B - second_B,
        np.log(np.maximum(top_B, 1e-7)),
        *probability_BK.T[:MAX_CLASS_SIGNALS],
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def histogram_columns(names: tuple[str, ...]) -> tuple[int, ...]:
    """Columns of `frame_signals` that are also kept as histograms."""
    return tuple(names.index(name) for name in HISTOGRAM_SIGNALS)
