"""Declared transforms from a raw input to what the model eats: the same numpy code in training and serving.

Rules: pure; float32 out; every step keeps the batch axis first. Fitted numbers (mean, std) are part of the
step and so part of the release, which is why a device never sees other preprocessing than training did. A sample comes
out the same alone and in any batch, however its array lies in memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from msgspec import structs

from fleet_contract.errors import ContractError
from fleet_contract.preprocessing_shapes import Difference, Grayscale, Impute, OneHot, Select, Spectrum
from fleet_contract.preprocessing_values import Clip, Log1p, MinMax, Robust, Scale, Standardize, StandardizeEach
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = [
    "Clip",
    "Difference",
    "Grayscale",
    "Impute",
    "Log1p",
    "MinMax",
    "OneHot",
    "Robust",
    "Scale",
    "Select",
    "Spectrum",
    "Standardize",
    "StandardizeEach",
    "Transform",
    "apply",
    "model_input",
    "output_shape",
]

Transform = (
    Scale
    | Standardize
    | StandardizeEach
    | Clip
    | Robust
    | MinMax
    | Log1p
    | Impute
    | OneHot
    | Select
    | Grayscale
    | Difference
    | Spectrum
)


def apply(steps: Sequence[Transform], raw_B: NDArray[np.generic]) -> NDArray[np.float32]:
    """The batch after all `steps`, as float32; may hold NaN when a step says so. The input is not changed.

    Steps that do not fit the shape are a mistake of the caller's, which `output_shape` finds beforehand.
    """
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        real_B = raw_B.astype(np.float32, order="C")
        for step in steps:
            real_B = np.ascontiguousarray(step.apply(real_B), np.float32)
    return real_B


def output_shape(steps: Sequence[Transform], shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of a sample after all `steps`; both shapes are without the batch axis.

    Raises:
        ContractError: a step cannot take what comes to it.
    """
    for step in steps:
        shape = step.output_shape(shape)
    return shape


def model_input(raw: TensorSpec, steps: Sequence[Transform]) -> TensorSpec:
    """The tensor that the float model takes, of a release or candidate with that raw input.

    Raises:
        ContractError: a step cannot take what comes to it.
    """
    try:
        shape = output_shape(steps, raw.shape)
    except ContractError as error:
        raise ContractError(f"preprocessing of {raw.name} {list(raw.shape)}: {error.message}") from error
    return structs.replace(raw, dtype=DType.FLOAT32, shape=shape, scale=0.0, zero_point=0)
