"""Whether a quantized TFLite model is what was asked for: litert-quantizer does not say when it did nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from converter.backends.tflite.layers import INPUT_LAYER, OUTPUT_LAYER, graph_of, layer_name
from converter.backends.tflite.schema import (
    WEIGHT_INPUT,
    WEIGHT_KINDS,
    dtype_of,
    is_constant,
    kind_of,
    tensors_at,
)
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from converter.plan import Layer, Plan

_FLOAT: Final = "FLOAT32"
_INT8: Final = "INT8"


def check_weights(model: Any, dtype: str, *, hint: str = "") -> None:
    """Passes when at least one constant of the model has the element type.

    Raises:
        ModelError: none has.
    """
    constants = (tensor for graph in model.subgraphs for tensor in graph.tensors if is_constant(model, tensor))
    if not any(dtype_of(tensor) == dtype for tensor in constants):
        raise ModelError(f"litert-quantizer: got no {dtype} weights, expected some", hint=hint)


def check_layers(model: Any, layers: Iterable[Layer], plan: Plan) -> None:
    """Passes when every layer computes in the type that the plan asks for.

    Raises:
        ModelError: a layer does not, or is gone.
    """
    graph = graph_of(model)
    made = {(kind_of(model, operator), layer_name(graph, operator)): operator for operator in graph.operators}
    for layer in layers:
        wanted = _FLOAT if layer.name in plan.float_layers else _INT8
        for part, got, expected in _parts(model, made, layer, wanted, plan):
            if got != expected:
                raise ModelError(f"litert-quantizer: layer {layer.name!r}: got {part} in {got}, expected {expected}")


def _parts(
    model: Any, made: dict[tuple[str, str], Any], layer: Layer, wanted: str, plan: Plan
) -> Iterator[tuple[str, str, str]]:
    """What the layer consists of: the part, the type that it has and the type that it should have."""
    graph = graph_of(model)
    if layer.name in {INPUT_LAYER, OUTPUT_LAYER}:
        edge = graph.inputs if layer.name == INPUT_LAYER else graph.outputs
        yield from (("the edge", dtype_of(tensor), wanted) for tensor in tensors_at(graph, edge))
        return
    operator = made.get((layer.kind, layer.name))
    if operator is None:
        yield "the operator", "nothing", wanted
        return
    yield from (("its output", dtype_of(tensor), wanted) for tensor in tensors_at(graph, operator.outputs))
    weights = graph.tensors[operator.inputs[WEIGHT_INPUT]] if layer.kind in WEIGHT_KINDS else None
    if weights is not None and is_constant(model, weights):
        yield "its weights", dtype_of(weights), "INT4" if layer.name in plan.int4_layers else wanted
