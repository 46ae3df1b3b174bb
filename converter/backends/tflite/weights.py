"""Ranges of weights where the tool's own would lose the bias.

A bias is stored in 32 bits in steps of input scale times weight scale. A channel whose weights are all but zero
(training makes such channels) gets so small a step that its bias does not fit: litert-quantizer then wraps it round,
without an error, and the channel's output is near zero instead of the bias. Wider weight ranges for such channels keep
the bias; the weights lose nothing that matters, as they were too small to move the output.

Legend: C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.backends.tflite.layers import graph_of
from converter.backends.tflite.schema import BIAS_INPUT, WEIGHT_INPUT, WEIGHT_KINDS, constant_of, kind_of, name_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

MAX_BIAS_STEPS: Final = float(1 << 28)
"""Most steps that a bias takes: an eighth of what fits, which leaves room for correction and for other input scales."""
_INT8_STEPS: Final = 127
_LEVELS: Final = 255


def widened(model: Any, bounds: Mapping[str, tuple[float, float]]) -> dict[str, NDArray[np.float32]]:
    """By name of the weights, for those that need it: the greatest magnitude of each channel, axes kept.

    `bounds` are the ranges of activations.
    """
    graph, found = graph_of(model), {}
    for operator in graph.operators:
        if kind_of(model, operator) not in WEIGHT_KINDS or len(operator.inputs) <= BIAS_INPUT:
            continue
        ends = bounds.get(name_of(graph.tensors[operator.inputs[0]]))
        weights = constant_of(model, graph.tensors[operator.inputs[WEIGHT_INPUT]])
        bias_C = _bias(model, operator)
        if ends is None or weights is None or bias_C is None:
            continue
        axis = weights.ndim - 1 if kind_of(model, operator) == "DEPTHWISE_CONV_2D" else 0
        magnitude = np.abs(weights).max(axis=tuple(each for each in range(weights.ndim) if each != axis), keepdims=True)
        least = _least_magnitude(bias_C, ends).reshape(magnitude.shape)
        if (least > magnitude).any():
            found[name_of(graph.tensors[operator.inputs[WEIGHT_INPUT]])] = np.maximum(magnitude, least)
    return found


def _bias(model: Any, operator: Any) -> NDArray[np.generic] | None:
    index = operator.inputs[BIAS_INPUT]
    return constant_of(model, graph_of(model).tensors[index]) if index >= 0 else None


def _least_magnitude(bias_C: NDArray[np.generic], ends: tuple[float, float]) -> NDArray[np.float32]:
    """The magnitude that each channel's weights must be said to reach for its bias to fit."""
    input_scale = max((max(ends[1], 0.0) - min(ends[0], 0.0)) / _LEVELS, 1e-9)
    return (np.abs(bias_C.astype(np.float64)) * (_INT8_STEPS / MAX_BIAS_STEPS / input_scale)).astype(np.float32)
