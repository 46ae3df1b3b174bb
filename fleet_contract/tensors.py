"""Tensors as a contract: name, element type, shape and, for quantized tensors, scale and zero point.

Legend: a shape lists the sizes without the batch; every tensor has one leading batch axis `B`.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DType(StrEnum):
    """Element types that a model's edges may have; the values are numpy's names."""

    FLOAT32 = "float32"
    FLOAT16 = "float16"
    INT8 = "int8"
    UINT8 = "uint8"
    INT16 = "int16"
    INT32 = "int32"
    INT64 = "int64"


class TensorSpec(Struct, frozen=True, kw_only=True):
    """One input or output of a model.

    `shape` is without the batch axis. For a quantized tensor, real = scale * (stored - zero_point);
    `scale` 0 means not quantized.
    """

    name: str
    dtype: DType
    shape: tuple[int, ...]
    scale: float = 0.0
    zero_point: int = 0

    @property
    def quantized(self) -> bool:
        """Whether stored values are integers that stand for real ones."""
        return self.scale != 0.0


def check_batch(array_B: NDArray[np.generic], spec: TensorSpec) -> None:
    """Passes when `array_B` is a batch of `spec`'s shape with at least one item.

    Raises:
        ContractError: another rank, another shape, or an empty batch.
    """
    if array_B.ndim != len(spec.shape) + 1 or array_B.shape[1:] != spec.shape or array_B.shape[0] < 1:
        raise ContractError.mismatch(
            f"tensor {spec.name}", got=f"shape {list(array_B.shape)}", expected=f"shape {['B', *spec.shape]}"
        )


def quantize(real_B: NDArray[np.float32], spec: TensorSpec) -> NDArray[np.generic]:
    """Stores real values as `spec` says: rounded half to even, saturated; a float tensor is only cast."""
    if not spec.quantized:
        return real_B.astype(spec.dtype.value, copy=False)
    limits = np.iinfo(spec.dtype.value)
    stored = np.rint(real_B / np.float32(spec.scale)) + spec.zero_point
    saturated: NDArray[np.generic] = np.clip(stored, limits.min, limits.max).astype(spec.dtype.value)
    return saturated


def dequantize(stored_B: NDArray[np.generic], spec: TensorSpec) -> NDArray[np.float32]:
    """Real values of a stored tensor; the inverse of `quantize` up to rounding."""
    if not spec.quantized:
        return stored_B.astype(np.float32, copy=False)
    return ((stored_B.astype(np.float32) - np.float32(spec.zero_point)) * np.float32(spec.scale)).astype(np.float32)
