"""The ranges of a float model's activations, from one run over the calibration rows.

Kept of every activation are the least and the greatest value of each row and a bounded sample, from which ranges for
any number of rows follow at once. The sample of a row takes steps of the golden section through the values: they fall
evenly over channels and places alike, and are the same in every run. Legend: B rows, S sampled values
of a row, N values.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from converter.backends.onnx.clipping import least_error_range
from converter.backends.onnx.session import open_onnx
from converter.backends.translate import tool_errors
from converter.calibration import spread_rows
from converter.recipe import Ranges
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

MAX_SAMPLE: Final = 16384
"""Values that are kept of one activation, over all rows."""
_GOLDEN: Final = (5**0.5 - 1) / 2


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is kept of one activation; every sampled value stands for `weight` values of its row."""

    low_B: NDArray[np.float32]
    high_B: NDArray[np.float32]
    sample_BS: NDArray[np.float32]
    weight: float


class Activations:
    """What a model's activations were on the calibration rows."""

    def __init__(self, model: Any, calibration_B: NDArray[np.float32]) -> None:
        """Runs the rows through `model`, whose values have their types and shapes noted.

        Raises:
            ModelError: there are no rows, the model cannot run, or a value is not finite.
        """
        if not len(calibration_B):
            raise ModelError("calibration: got no rows, expected at least one")
        self._row_count = len(calibration_B)
        self._seen = _observe(model, calibration_B)
        self._known: dict[tuple[int, Ranges, bool], dict[str, tuple[float, float]]] = {}

    def ranges(self, method: Ranges, *, rows: int, symmetric: bool) -> dict[str, tuple[float, float]]:
        """Least and greatest value to represent, by activation, from `rows` of the rows, evenly spread; 0: from all.

        Raises:
            ModelError: the method is another tool's.
        """
        key = (rows, method, symmetric)
        if key not in self._known:
            chosen = spread_rows(self._row_count, rows or self._row_count)
            choose = _method(method, symmetric=symmetric)
            self._known[key] = {name: choose(_rows_of(seen, chosen)) for name, seen in self._seen.items()}
        return self._known[key]


def _method(method: Ranges, *, symmetric: bool) -> Callable[[_Seen], tuple[float, float]]:
    if method is Ranges.MINMAX:
        return _all_seen
    if method is Ranges.MSE:
        return lambda seen: _least_error(seen, symmetric=symmetric)
    raise ModelError(f"ranges: got {method}, expected {Ranges.MINMAX} or {Ranges.MSE} for an ONNX model")


def _all_seen(seen: _Seen) -> tuple[float, float]:
    return float(seen.low_B.min()), float(seen.high_B.max())


def _least_error(seen: _Seen, *, symmetric: bool) -> tuple[float, float]:
    """From the sample and the extremes, which the sample may have missed."""
    values_N = np.concatenate([seen.sample_BS.ravel(), seen.low_B, seen.high_B])
    weights_N = np.full(len(values_N), seen.weight)
    weights_N[seen.sample_BS.size :] = 1.0
    return least_error_range(values_N, weights_N, symmetric=symmetric)


def _rows_of(seen: _Seen, chosen: NDArray[np.intp]) -> _Seen:
    return _Seen(seen.low_B[chosen], seen.high_B[chosen], seen.sample_BS[chosen], seen.weight)


def _observe(model: Any, calibration_B: NDArray[np.float32]) -> dict[str, _Seen]:
    augmented, names = _with_all_outputs(model)
    session = open_onnx(augmented.SerializeToString(), optimized=False)
    input_name = session.get_inputs()[0].name
    quota = max(1, MAX_SAMPLE // len(calibration_B))
    rows: dict[str, list[tuple[np.float32, np.float32, NDArray[np.float32]]]] = {
        name: [] for name in (input_name, *names)
    }
    sizes = {}
    for index in range(len(calibration_B)):
        row_1 = calibration_B[index : index + 1]
        with tool_errors("onnxruntime: calibrating"):
            values = session.run(list(names), {input_name: row_1})
        for name, value in zip((input_name, *names), (row_1, *values), strict=True):
            flat_N = value.ravel()
            sizes[name] = len(flat_N)
            rows[name].append((flat_N.min(), flat_N.max(), _sample(flat_N, quota, index)))
    return {name: _seen(name, kept, sizes[name]) for name, kept in rows.items()}


def _seen(name: str, kept: list[tuple[np.float32, np.float32, NDArray[np.float32]]], size: int) -> _Seen:
    low_B, high_B = (np.array(column, np.float32) for column in list(zip(*kept, strict=True))[:2])
    if not (np.isfinite(low_B).all() and np.isfinite(high_B).all()):
        raise ModelError(f"calibration: the float model's value {name!r} is not finite on some row")
    sample_BS = np.stack([sample_S for _, _, sample_S in kept])
    return _Seen(low_B, high_B, sample_BS, size / sample_BS.shape[1])


def _sample(flat_N: NDArray[np.float32], quota: int, row: int) -> NDArray[np.float32]:
    size = len(flat_N)
    if size <= quota:
        return flat_N.copy()
    step = max(1, round(size * _GOLDEN))
    while gcd(step, size) != 1:
        step += 1
    return flat_N[(np.arange(row * quota, (row + 1) * quota) * step) % size]


def _with_all_outputs(model: Any) -> tuple[Any, tuple[str, ...]]:
    """The model with every float value of its main graph as an output, and the names of those."""
    augmented = onnx.ModelProto()
    augmented.CopyFrom(model)
    names = tuple(value.name for value in float_values(augmented.graph))
    outputs = {value.name for value in augmented.graph.output}
    augmented.graph.output.extend(value for value in augmented.graph.value_info if value.name in set(names) - outputs)
    return augmented, names


def float_values(graph: Any) -> Iterable[Any]:
    """The float32 values that nodes of `graph` make, with their types."""
    made = {name for node in graph.node for name in node.output}
    for value in (*graph.value_info, *graph.output):
        if value.name in made and value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            yield value
