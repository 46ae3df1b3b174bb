"""An ONNX model that somebody else made. Its own scores come from onnxruntime, with nothing changed but the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
import onnxruntime

from converter.backends.float_model import only
from converter.backends.onnx.model import prepare_float
from converter.backends.translate import tool_errors
from converter.process.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_DTYPES: Final = {
    onnx.TensorProto.FLOAT: "float32",
    onnx.TensorProto.FLOAT16: "float16",
    onnx.TensorProto.DOUBLE: "float64",
    onnx.TensorProto.STRING: "string",
}
_QUANTIZED: Final = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv"})


class OnnxModel:
    """A FloatModel; scores are onnxruntime's on the file as it came, but for the batch."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with tool_errors("onnx: loading the model"):
            self._model: Any = onnx.load(path, load_external_data=False)
        _require_whole(self._model)
        weights = {tensor.name for tensor in self._model.graph.initializer}
        inputs = [value for value in self._model.graph.input if value.name not in weights]
        self.input = only("input", [_edge(value) for value in inputs])
        fix_batch(self._model)
        with tool_errors("onnxruntime: loading the model"):
            self._session: Any = _session(self._model)
        self.output = only("output", [_edge(value) for value in self._session_outputs()])

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """By onnxruntime, one row at a time."""
        with tool_errors("onnxruntime: running the model"):
            rows = [self._infer(inputs_B[row : row + 1]) for row in range(len(inputs_B))]
            return np.concatenate(rows).astype(np.float32, copy=False)

    def tflite(self, folder: Path) -> Path:
        """Not supported: no tool does it without ever being silently wrong."""
        del folder
        raise ModelError(
            "ONNX to TFLite is not supported: its converters guess the layout and have given wrong numbers",
            hint="bring the Keras model or SavedModel that the ONNX file was exported from, or take the onnx recipes",
        )

    def onnx(self, folder: Path) -> Path:
        """Folded and canonical, in the operator set that old runtimes read."""
        return prepare_float(self._path, folder)

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """Not supported, as TFLite is not."""
        del calibration_B
        return self.tflite(folder).read_bytes()

    def _infer(self, input_1: NDArray[np.float32]) -> NDArray[np.float32]:
        result: NDArray[np.float32] = self._session.run(None, {self.input.name: np.ascontiguousarray(input_1)})[0]
        return result

    def _session_outputs(self) -> Iterable[Any]:
        """The outputs with the shapes that onnxruntime works out for batch 1, which a file often leaves open."""
        shapes = {value.name: value.shape for value in self._session.get_outputs()}
        for value in self._model.graph.output:
            sizes = value.type.tensor_type.shape.dim
            known = shapes.get(value.name) or []
            if len(known) == len(sizes):
                for size, found in zip(sizes, known, strict=True):
                    if isinstance(found, int):
                        size.dim_value = found
            yield value


def fix_batch(model: Any) -> None:
    """Sets the batch axis of the input to 1, and every axis of the model that bears the same name. In place."""
    weights = {tensor.name for tensor in model.graph.initializer}
    names = set()
    for value in model.graph.input:
        sizes = value.type.tensor_type.shape.dim
        if value.name in weights or not sizes or sizes[0].dim_value > 0:
            continue
        names.add(sizes[0].dim_param)
        sizes[0].dim_value = 1
    for value in (*model.graph.input, *model.graph.output):
        for size in value.type.tensor_type.shape.dim:
            if size.dim_param and size.dim_param in names:
                size.dim_value = 1
    del model.graph.value_info[:]


def _session(model: Any) -> Any:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _require_whole(model: Any) -> None:
    """Passes when the weights are in the file and are float.

    Raises:
        ModelError: they lie in other files, or the model is quantized already.
    """
    if not model.graph.node:
        raise ModelError("onnx: the file holds no graph, or is no ONNX model")
    if any(each.data_location == onnx.TensorProto.EXTERNAL for each in model.graph.initializer):
        raise ModelError("onnx: weights lie outside of the file", hint="save the model with its weights inside")
    quantized = sorted({str(node.op_type) for node in model.graph.node} & _QUANTIZED)
    if quantized:
        raise ModelError(
            f"onnx model: it is quantized already ({', '.join(quantized)}), expected a float model",
            hint="bring the float model that it was made from: it is what variants are measured against",
        )


def _edge(value: Any) -> Edge:
    kind = value.type.tensor_type.elem_type if value.type.HasField("tensor_type") else 0
    sizes = value.type.tensor_type.shape.dim
    return Edge(
        name=str(value.name),
        dtype=_DTYPES.get(kind, f"{onnx.TensorProto.DataType.Name(kind).lower()}"),
        shape=tuple(int(size.dim_value) if size.dim_value > 0 else None for size in sizes),
    )
