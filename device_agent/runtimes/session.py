"""What every runtime offers: run one batch of stored values, and say which tensors the file really has.

Legend: B batch.
"""

from __future__ import annotations

from math import isclose
from typing import TYPE_CHECKING, Protocol

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from fleet_contract.release import Variant
    from fleet_contract.tensors import TensorSpec


class Session(Protocol):
    """A loaded model file. Not safe for two threads at once."""

    @property
    def input(self) -> TensorSpec:
        """The input as the file has it."""

    @property
    def output(self) -> TensorSpec:
        """The output as the file has it."""

    def run(self, input_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """The stored outputs of a batch of stored inputs; the result is the caller's own.

        Raises:
            ModelError: the runtime failed.
        """


def check_specs(session: Session, variant: Variant) -> None:
    """Passes when the file's tensors are the variant's; names may differ, they are only labels.

    Raises:
        ModelError: they are not, naming the first that differs.
    """
    for side, found, expected in (
        ("input", session.input, variant.input),
        ("output", session.output, variant.output),
    ):
        if not _agree(found, expected):
            raise ModelError(
                f"{side} of {variant.id}: got {_describe(found)}, expected {_describe(expected)}",
                hint="the file does not belong to this manifest: build the release again",
            )


def _agree(found: TensorSpec, expected: TensorSpec) -> bool:
    same_kind = (found.dtype, found.shape, found.quantized) == (expected.dtype, expected.shape, expected.quantized)
    if not same_kind or not found.quantized:
        return same_kind
    return found.zero_point == expected.zero_point and isclose(found.scale, expected.scale, rel_tol=1e-6)


def _describe(spec: TensorSpec) -> str:
    scale = f", scale {spec.scale:.9g}, zero point {spec.zero_point}" if spec.quantized else ""
    return f"{spec.dtype} of shape {['B', *spec.shape]}{scale}"
