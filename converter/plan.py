"""What the search for a static int8 variant chooses from, and the port behind which each runtime quantizes.

Legend: B rows, K outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from converter.recipe import Ranges

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Layer(Struct, frozen=True, kw_only=True):
    """An operator that can be quantized or left in float. `name` is unique in the model."""

    name: str
    kind: str
    """The operator, in the runtime's own word: `CONV_2D`, `Gemm`."""
    weight_count: int = 0


class Plan(Struct, frozen=True, kw_only=True):
    """One way to quantize a model statically. Layers are named in ascending order, each once."""

    ranges: Ranges = Ranges.MINMAX
    bias: bool = False
    calibration_rows: int = 0
    """How many calibration rows to use, evenly spread; 0: all."""
    signed: bool = False
    """Signed activations (ONNX)."""
    float_layers: tuple[str, ...] = ()
    int4_layers: tuple[str, ...] = ()


class Quantizer(Protocol):
    """A float model that can be quantized to plan again and again; calibration is done once and kept."""

    layers: tuple[Layer, ...]
    """In the order in which they run; only those that `Plan.float_layers` may name."""
    int4_layers: tuple[str, ...]
    """Names of the layers that `Plan.int4_layers` may name; empty where the runtime has no int4."""

    def quantize(self, plan: Plan) -> bytes:
        """The artifact, ready to ship: the same plan gives the same bytes.

        Raises:
            ModelError: the tool cannot do it, or silently did not.
        """
        ...

    def scores(self, artifact: bytes, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) of an artifact of this model in its runtime, dequantized.

        Raises:
            ModelError: the runtime cannot load or run it.
        """
        ...

    def float_scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) of the float model in the same runtime."""
        ...
