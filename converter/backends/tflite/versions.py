"""Operator versions that quantizing asks for: litert-quantizer leaves those of the float model.

A runtime refuses a version that it does not know, and only so can an old one be kept from computing nonsense in
silence: tflite-runtime 2.14 misreads fully connected layers with int4 weights, or with int8 weights per channel on
float activations. The TFLite converter gives these version 12, which came after 2.14.
"""

from __future__ import annotations

from typing import Any, Final

from converter.backends.tflite.schema import WEIGHT_INPUT, dtype_of, kind_of

NEW_DENSE_VERSION: Final = 12


def raise_versions(model: Any) -> None:
    """Raises the version of fully connected layers where one has a form that old runtimes get wrong."""
    for graph in model.subgraphs:
        for operator in graph.operators or []:
            if kind_of(model, operator) == "FULLY_CONNECTED" and _is_new(graph, operator):
                code = model.operatorCodes[operator.opcodeIndex]
                code.version = max(code.version, NEW_DENSE_VERSION)


def _is_new(graph: Any, operator: Any) -> bool:
    weights = graph.tensors[operator.inputs[WEIGHT_INPUT]]
    if dtype_of(weights) == "INT4":
        return True
    floating = dtype_of(graph.tensors[operator.inputs[0]]) == "FLOAT32"
    return dtype_of(weights) == "INT8" and floating and len(weights.quantization.scale) > 1
