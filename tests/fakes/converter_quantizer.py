"""A Quantizer whose layers each add a known error while quantized, so that a search's choices can be foretold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from converter.plan import Layer, Plan
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from converter.recipe import Ranges

FLOAT_BYTES: Final = 400
INT8_BYTES: Final = 100
INT4_BYTES: Final = 50


class FakeQuantizer:
    """Scores are the inputs plus, for each layer, noise of the given size; int4 makes it four times as large.

    `ranges_noise` is added for the way in which ranges are chosen; plans with `refused` in their float layers cannot be
    built; `weights` makes a layer so many times as large as others.
    """

    def __init__(
        self,
        noise: Mapping[str, float],
        *,
        ranges_noise: Mapping[Ranges, float] | None = None,
        int4: tuple[str, ...] = (),
        refused: str = "",
        weights: Mapping[str, int] | None = None,
    ) -> None:
        self.layers = tuple(Layer(name=name, kind="FAKE", weight_count=100) for name in noise)
        self.int4_layers = int4
        self.quantized: list[Plan] = []
        self._noise = dict(noise)
        self._ranges_noise = ranges_noise or {}
        self._refused = refused
        self._weights = weights or {}

    def quantize(self, plan: Plan) -> bytes:
        """The plan itself, padded to the size that its layers would have."""
        self.quantized.append(plan)
        if self._refused and self._refused in plan.float_layers:
            raise ModelError(f"layer {self._refused} cannot be left in float")
        size_bytes = sum(self._bytes(layer.name, plan) for layer in self.layers)
        return msgspec.json.encode(plan).ljust(size_bytes * 10)

    def scores(self, artifact: bytes, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inputs with each quantized layer's noise."""
        plan = msgspec.json.decode(artifact, type=Plan)
        total = inputs_B.astype(np.float64)
        for index, (name, size) in enumerate(self._noise.items()):
            if name not in plan.float_layers:
                total += self._wave(index, inputs_B.shape) * size * (4.0 if name in plan.int4_layers else 1.0)
        total += self._wave(len(self._noise), inputs_B.shape) * self._ranges_noise.get(plan.ranges, 0.0)
        return total.astype(np.float32)

    def float_scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The inputs."""
        return inputs_B.astype(np.float32)

    def _bytes(self, name: str, plan: Plan) -> int:
        times = self._weights.get(name, 1)
        if name in plan.float_layers:
            return FLOAT_BYTES * times
        return (INT4_BYTES if name in plan.int4_layers else INT8_BYTES) * times

    @staticmethod
    def _wave(index: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
        return np.random.default_rng(1000 + index).standard_normal(shape)
