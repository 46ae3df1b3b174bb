"""What values the activations of a float TFLite model take.

The model is run once, row by row, and of every activation enough is kept to give ranges for any part of the rows:
least and greatest value and an evenly spread sample of each row. No random numbers: the same rows give the same.

Legend: B rows, S sampled values of a row, C channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.backends.tflite.interpreter import check_rows, edges, open_interpreter, run_rows
from converter.backends.tflite.schema import (
    WEIGHT_KINDS,
    dtype_of,
    is_constant,
    kind_of,
    name_of,
    read_model,
    tensors_at,
)
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

MAX_SAMPLE: Final = 1 << 17
"""Most values kept of one activation, over all rows."""
MAX_SAMPLES: Final = 1 << 24
"""Most values kept of all activations together: 64 MB."""


@dataclass(frozen=True, slots=True)
class Activation:
    """One tensor's values. `means_BC` is there for outputs of operators with weights, whose last axis is channels."""

    name: str
    rank: int
    lows_B: NDArray[np.float32]
    highs_B: NDArray[np.float32]
    sample_BS: NDArray[np.float32]
    means_BC: NDArray[np.float64] | None


def observe(data: bytes, inputs_B: NDArray[np.float32]) -> dict[str, Activation]:
    """The activations of a float model with one graph, by name: its input and every float tensor that it computes.

    Raises:
        ModelError: it cannot be run on `inputs_B`, or an activation is NaN or infinite.
    """
    model = read_model(data)
    interpreter = open_interpreter(data, inspect=True)
    check_rows(inputs_B, edges(interpreter)[0])
    watched = list(_watched(model))
    budget = min(MAX_SAMPLE, MAX_SAMPLES // max(1, len(watched))) // len(inputs_B)
    recorders = [_Recorder(index, name, with_means, max(1, budget)) for index, name, with_means in watched]
    for row in run_rows(interpreter, np.ascontiguousarray(inputs_B)):
        for recorder in recorders:
            recorder.take(interpreter.get_tensor(recorder.index), row)
    return {recorder.name: recorder.activation() for recorder in recorders}


def _watched(model: Any) -> Iterator[tuple[int, str, bool]]:
    """Index and name of each activation, and whether its channels are watched too."""
    graph = model.subgraphs[0]
    yield from ((int(index), name_of(graph.tensors[index]), False) for index in graph.inputs)
    for operator in graph.operators:
        weighted = kind_of(model, operator) in WEIGHT_KINDS
        for index, tensor in zip(operator.outputs, tensors_at(graph, operator.outputs), strict=False):
            if dtype_of(tensor) == "FLOAT32" and not is_constant(model, tensor):
                yield int(index), name_of(tensor), weighted


class _Recorder:
    """Collects one activation row by row."""

    def __init__(self, index: int, name: str, with_means: bool, sample_limit: int) -> None:  # noqa: FBT001 - set once, from data
        self.index = index
        self.name = name
        self._with_means = with_means
        self._limit = sample_limit
        self._picked: NDArray[np.intp] | None = None
        self._rank = 0
        self._bounds: list[tuple[np.float32, np.float32]] = []
        self._samples: list[NDArray[np.float32]] = []
        self._means: list[NDArray[np.float64]] = []

    def take(self, values: NDArray[np.float32], row: int) -> None:
        """Takes the values of one row."""
        flat = values.ravel()
        if self._picked is None or (len(self._picked) and self._picked[-1] >= flat.size):
            self._picked = spread(flat.size, self._limit)
            self._rank = values.ndim
        low, high = (flat.min(), flat.max()) if flat.size else (np.float32(0), np.float32(0))
        if not (np.isfinite(low) and np.isfinite(high)):
            raise ModelError(
                f"activation {self.name!r}: calibration row {row} makes it {low if np.isfinite(high) else high}, "
                "expected finite values",
                hint="look for a division, logarithm or root whose argument can be 0 or negative",
            )
        self._bounds.append((low, high))
        self._samples.append(flat[self._picked])
        if self._with_means:
            self._means.append(values.reshape(-1, values.shape[-1]).mean(axis=0, dtype=np.float64))

    def activation(self) -> Activation:
        """All that was taken."""
        bounds = np.asarray(self._bounds, np.float32)
        return Activation(
            name=self.name,
            rank=self._rank,
            lows_B=bounds[:, 0],
            highs_B=bounds[:, 1],
            sample_BS=np.stack(self._samples),
            means_BC=np.stack(self._means) if self._with_means else None,
        )


def spread(size: int, limit: int) -> NDArray[np.intp]:
    """At most `limit` of `size` positions, ascending: evenly over the tensor, and evenly over its channels too.

    Steps of about the golden ratio, prime to the size, do not fall into step with any axis.
    """
    if size <= limit:
        return np.arange(size, dtype=np.intp)
    step = int(size * 0.6180339887)
    while gcd(step, size) != 1:
        step += 1
    return np.sort((np.arange(limit, dtype=np.int64) * step) % size).astype(np.intp)
