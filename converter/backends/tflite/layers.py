"""The layers of a float TFLite model that a plan may name: the operators that static int8 reaches, and its edges.

An operator is named after the tensors that it computes, joined by `;`, as litert-quantizer calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from litert_quantizer import qtyping
from litert_quantizer.recipe_manager import RecipeManager
from litert_quantizer.utils.tfl_flatbuffer_utils import TFL_OP_CODE_TO_NAME

from converter.backends.tflite.schema import (
    WEIGHT_INPUT,
    constant_of,
    dtype_of,
    kind_of,
    name_of,
    shape_of,
    tensors_at,
)
from converter.plan import Layer

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUT_LAYER: Final = "(input)"
"""The quantizing of the model's input; in float, the model takes float."""
OUTPUT_LAYER: Final = "(output)"
"""The quantizing of the model's output."""
MIN_INT4_WEIGHTS: Final = 1024


def layers_of(model: Any) -> tuple[Layer, ...]:
    """The layers in the order in which they run."""
    return (
        Layer(name=INPUT_LAYER, kind="INPUT"),
        *(
            Layer(name=layer_name(graph_of(model), operator), kind=kind_of(model, operator), weight_count=count)
            for operator, count in _reached(model)
        ),
        Layer(name=OUTPUT_LAYER, kind="OUTPUT"),
    )


def int4_layers_of(model: Any) -> tuple[str, ...]:
    """Names of the layers that int4 weights help: fully connected ones with many weights, which XNNPACK runs."""
    graph = graph_of(model)
    return tuple(
        layer_name(graph, operator)
        for operator, _ in _reached(model)
        if kind_of(model, operator) == "FULLY_CONNECTED" and _weight_count(model, operator) >= MIN_INT4_WEIGHTS
    )


def graph_of(model: Any) -> Any:
    """The model's only graph."""
    return model.subgraphs[0]


def layer_name(graph: Any, operator: Any) -> str:
    """The operator's name in a plan."""
    return ";".join(name_of(tensor) for tensor in tensors_at(graph, operator.outputs))


def _reached(model: Any) -> Iterator[tuple[Any, int]]:
    """Operators that static int8 quantizes, with the number of their weights."""
    rules = RecipeManager()
    rules.add_static_config(".*", qtyping.TFLOperationName.ALL_SUPPORTED, activation_num_bits=8, weight_num_bits=8)
    graph = graph_of(model)
    for operator in graph.operators:
        code = model.operatorCodes[operator.opcodeIndex]
        kind = TFL_OP_CODE_TO_NAME.get(max(code.builtinCode, code.deprecatedBuiltinCode))
        computed = list(tensors_at(graph, operator.outputs))
        if kind is None or not computed or dtype_of(computed[0]) != "FLOAT32":
            continue
        algorithm, _ = rules.get_quantization_configs(kind, "")
        if algorithm != "no_quantize":
            yield operator, _constant_count(model, operator)


def _constant_count(model: Any, operator: Any) -> int:
    constants = [constant_of(model, tensor) for tensor in tensors_at(graph_of(model), operator.inputs)]
    return sum(values.size for values in constants if values is not None and values.dtype == np.float32)


def _weight_count(model: Any, operator: Any) -> int:
    weights = graph_of(model).tensors[operator.inputs[WEIGHT_INPUT]]
    return 0 if constant_of(model, weights) is None else int(np.prod(shape_of(weights)))
