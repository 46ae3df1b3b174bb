"""Brings a model to operator set 17 (OPSET), whichever it was written for.

Where every operator of the model is the same in both sets, only the number changes. Otherwise onnx's own version
converter rewrites the operators that differ; what it cannot rewrite is refused.
"""

from __future__ import annotations

from typing import Any

import onnx
from onnx import version_converter

from converter.backends.onnx.canonical import IR_VERSION, OPSET
from converter.backends.onnx.graph import all_nodes
from converter.backends.translate import tool_errors
from fleet_contract.errors import ModelError


def at_opset(model: Any) -> Any:
    """The model at OPSET. `model` may be changed.

    Raises:
        ModelError: it names no operator set, or uses an operator that OPSET does not have.
    """
    stated = [each for each in model.opset_import if each.domain == ""]
    if len(stated) != 1:
        raise ModelError(f"onnx model: got {len(stated)} versions of the ONNX operator set, expected one")
    model.ir_version = IR_VERSION  # the converter takes older ones for models that list weights as inputs
    version = int(stated[0].version)
    if version == OPSET:
        return model
    if all(_since(node, version) == _since(node, OPSET) for node in all_nodes(model.graph) if node.domain == ""):
        stated[0].version = OPSET
        return model
    with tool_errors(f"onnx: from operator set {version} to {OPSET}"):
        return version_converter.convert_version(model, OPSET)


def _since(node: Any, version: int) -> int:
    """The operator set in which the operator got the meaning that it has at `version`."""
    try:
        return int(onnx.defs.get_schema(node.op_type, version).since_version)
    except onnx.defs.SchemaError as error:
        raise ModelError(
            f"onnx model: operator {node.op_type} is not in operator set {version}",
            hint=f"export the model with operator set {OPSET}, which every runtime of the fleet reads",
        ) from error
