"""Declared transforms from a raw input to what the model eats: the same numpy code in training and serving.

Rules: pure; float32 out; every step keeps the batch axis first. Fitted numbers (mean, std) are part of the
step and so part of the release, which is why a device never sees other preprocessing than training did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


class Scale(Struct, frozen=True, kw_only=True, tag="scale", tag_field="kind"):
    """(x - offset) * factor, the same for every element."""

    factor: float
    offset: float = 0.0


class Standardize(Struct, frozen=True, kw_only=True, tag="standardize", tag_field="kind"):
    """(x - mean) / std per entry of the last axis; both fitted on the training split only."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


class StandardizeEach(Struct, frozen=True, kw_only=True, tag="standardize-each", tag_field="kind"):
    """(x - mean) / (std + epsilon) with mean and std of the sample itself.

    With `epsilon` 0 a constant sample gives 0/0; a model host reports such inferences as invalid.
    """

    epsilon: float = 1e-6


class Clip(Struct, frozen=True, kw_only=True, tag="clip", tag_field="kind"):
    """Values limited to [low, high]."""

    low: float
    high: float


Transform = Scale | Standardize | StandardizeEach | Clip


def apply(steps: Sequence[Transform], raw_B: NDArray[np.generic]) -> NDArray[np.float32]:
    """The batch after all `steps`, as float32; may hold NaN when a step says so. The input is not changed."""
    real_B = raw_B.astype(np.float32)
    for step in steps:
        real_B = _apply_one(step, real_B)
    return real_B


def _apply_one(step: Transform, real_B: NDArray[np.float32]) -> NDArray[np.float32]:
    result: NDArray[Any]
    match step:
        case Scale(factor=factor, offset=offset):
            result = (real_B - np.float32(offset)) * np.float32(factor)
        case Standardize(mean=mean, std=std):
            result = (real_B - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
        case StandardizeEach(epsilon=epsilon):
            axes = tuple(range(1, real_B.ndim))
            centred = real_B - real_B.mean(axes, keepdims=True)
            with np.errstate(divide="ignore", invalid="ignore"):
                result = centred / (real_B.std(axes, keepdims=True) + np.float32(epsilon))
        case Clip(low=low, high=high):
            result = np.clip(real_B, np.float32(low), np.float32(high))
    return result.astype(np.float32, copy=False)
