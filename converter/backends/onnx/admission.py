"""What an ONNX model must be to enter, and how foreign ones are brought there.

A model that is admitted has one float32 input and one float32 output whose shapes are fixed with a batch of 1,
operators that onnxruntime knows at operator set OPSET, and all its weights inside the file. Local functions are written
out, weights that are listed as inputs are taken from that list, a batch axis that is open is set to 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import onnx
from onnx import inliner

from converter.backends.onnx.graph import all_nodes, graphs_of
from converter.backends.onnx.opset import at_opset
from converter.backends.onnx.repeated import replace_all
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

DOMAINS: Final = frozenset({"", "ai.onnx.ml", "com.microsoft"})
"""Operator sets of which onnxruntime brings kernels on every device."""


def admit(model: Any) -> Any:
    """The model as described above, all but the shape of its output. `model` may be changed.

    Raises:
        ModelError: it cannot be taken, and why.
    """
    _check_weights(model)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _name_main_domain(model)
    _check_domains(model)
    _drop_weight_inputs(model.graph)
    _fix_batch(_only("input", model.graph.input), model.graph)
    return at_opset(model)


def check_output(model: Any) -> None:
    """Checks the output of a model whose shapes are inferred.

    Raises:
        ModelError: it is not float32, or has no fixed shape with a batch of 1.
    """
    value = _only("output", model.graph.output)
    _check_float("output", value)
    shape = _shape(value)
    if not shape or shape[0] != 1 or any(size is None for size in shape):
        raise ModelError(
            f"onnx model: output {value.name!r} has shape {_words(shape)} for a batch of 1, "
            "expected fixed sizes after a 1",
            hint="a model whose output size depends on its input (non-max suppression) needs a fixed number of results",
        )


def _fix_batch(value: Any, graph: Any) -> None:
    """Sets an open batch axis of the input to 1, and forgets what the exporter noted of shapes with an open batch.

    Raises:
        ModelError: the input is not float32, or another axis is open, or the batch is fixed at something else.
    """
    _check_float("input", value)
    shape = _shape(value)
    if not shape:
        raise ModelError(f"onnx model: input {value.name!r} has no axes, expected a batch axis first")
    if any(size is None for size in shape[1:]):
        raise ModelError(
            f"onnx model: input {value.name!r} has shape {_words(shape)}, expected fixed sizes after the batch axis",
            hint="export the model with the input size that the devices will feed",
        )
    if shape[0] not in {None, 1}:
        raise ModelError(
            f"onnx model: input {value.name!r} has a batch fixed at {shape[0]}, expected 1 or an open batch axis",
            hint="export the model with a batch of 1 or with a dynamic batch axis",
        )
    batch = value.type.tensor_type.shape.dim[0]
    names = {batch.dim_param} - {""}
    batch.dim_value = 1
    del graph.value_info[:]
    for axis in (axis for output in graph.output for axis in output.type.tensor_type.shape.dim):
        if axis.dim_param in names:
            axis.dim_value = 1
        elif axis.dim_value <= 0:
            axis.Clear()


def _check_weights(model: Any) -> None:
    if not model.graph.node:
        raise ModelError("onnx model: the graph has no nodes")
    for tensor in _tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            raise ModelError(
                f"onnx model: weight {tensor.name!r} lies in another file, expected all weights inside the model",
                hint="save it as one file: onnx.save(onnx.load(path), path, save_as_external_data=False)",
            )
    if model.graph.sparse_initializer:
        raise ModelError("onnx model: sparse weights are not supported", hint="store them dense")


def _tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                yield attribute.t
            for inner in graphs_of(attribute):
                yield from _tensors(inner)


def _name_main_domain(model: Any) -> None:
    """`ai.onnx` is another way to write the empty name."""
    for node in all_nodes(model.graph):
        node.domain = _domain(node.domain)
    for each in model.opset_import:
        each.domain = _domain(each.domain)


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else name


def _check_domains(model: Any) -> None:
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in all_nodes(model.graph) if node.domain not in DOMAINS})
    if foreign:
        raise ModelError(
            f"onnx model: no runtime of the fleet has the custom operators {', '.join(foreign)}",
            hint="export the model with standard ONNX operators",
        )


def _drop_weight_inputs(graph: Any) -> None:
    """Models of IR version 3 list weights as inputs too, which would let a caller replace them."""
    weights = {tensor.name for tensor in graph.initializer}
    replace_all(graph.input, [value for value in graph.input if value.name not in weights])


def _only(what: str, values: Any) -> Any:
    if len(values) != 1:
        names = ", ".join(value.name for value in values) or "none"
        raise ModelError(
            f"onnx model: got {len(values)} {what}s ({names}), expected one",
            hint=f"wrap the model in one that has a single {what}",
        )
    return values[0]


def _check_float(what: str, value: Any) -> None:
    if value.type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        got = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
        raise ModelError(f"onnx model: {what} {value.name!r} is of type {got}, expected FLOAT")


def _shape(value: Any) -> list[int | None]:
    """Sizes by axis, None where one is open; empty where not even the number of axes is known."""
    return [
        int(axis.dim_value) if axis.HasField("dim_value") and axis.dim_value > 0 else None
        for axis in value.type.tensor_type.shape.dim
    ]


def _words(shape: list[int | None]) -> str:
    return f"({', '.join('?' if size is None else str(size) for size in shape)})"
