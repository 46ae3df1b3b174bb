"""A caller's numbers as the element type that a release's raw input has, or a refusal: nothing is lost silently.

Rules: whole numbers may become floats, floats another width of float, whole numbers another width when every value
fits; a float never becomes a whole number, text and objects are never numbers.
Legend: B batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.tensors import TensorSpec


def as_stored(raw_B: NDArray[np.generic], spec: TensorSpec) -> NDArray[np.generic]:
    """`raw_B` with `spec`'s element type; the same array where it has it already.

    Raises:
        ContractError: the conversion would lose something.
    """
    target = np.dtype(spec.dtype.value)
    if raw_B.dtype == target:
        return raw_B
    if target.kind == "f" and raw_B.dtype.kind in "biuf":
        with np.errstate(over="ignore"):
            return raw_B.astype(target)
    if target.kind in "iu" and raw_B.dtype.kind in "biu":
        limits = np.iinfo(target)
        if raw_B.size == 0 or (int(raw_B.min()) >= limits.min and int(raw_B.max()) <= limits.max):
            return raw_B.astype(target)
        raise ContractError.mismatch(
            f"tensor {spec.name}",
            got=f"values from {raw_B.min()} to {raw_B.max()}",
            expected=f"{limits.min} to {limits.max}",
        )
    raise ContractError.mismatch(f"tensor {spec.name}", got=f"type {raw_B.dtype}", expected=f"type {target}")
