"""A float TFLite model that somebody else made: it is its own float form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from converter.backends.float_model import only
from converter.backends.onnx.model import prepare_float
from converter.backends.tflite.prepare import prepare
from converter.backends.translate import tool_errors
from converter.process.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


class TfliteModel:
    """A FloatModel."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with tool_errors("ai-edge-litert: loading the model"):
            self._interpreter: Any = Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        self._input, self._output = self._edge("input"), self._edge("output")
        self.input, self.output = _edge(self._input), _edge(self._output)
        _require_float(self._interpreter.get_tensor_details())

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """By the interpreter, one row at a time."""
        with tool_errors("ai-edge-litert: running the model"):
            return np.concatenate([self._infer(inputs_B[row : row + 1]) for row in range(len(inputs_B))])

    def tflite(self, folder: Path) -> Path:
        """The file itself, with float32 weights where it stores them in half precision, and with a signature."""
        path = folder / "float.tflite"
        path.write_bytes(prepare(self._path.read_bytes(), one_graph=False))
        return path

    def onnx(self, folder: Path) -> Path:
        """By tf2onnx, from TFLite."""
        from converter.backends.tflite_to_onnx import export_onnx

        return prepare_float(export_onnx(self._path, folder / "exported.onnx"), folder)

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """Not possible: TensorFlow's converter does not read TFLite."""
        del calibration_B, folder
        raise ModelError(
            "a TFLite file cannot go through the TFLite converter again; it needs a Keras or SavedModel source",
            hint="recipe tflite-int8 quantizes TFLite files",
        )

    def _infer(self, input_1: NDArray[np.float32]) -> NDArray[np.float32]:
        self._interpreter.set_tensor(self._input["index"], np.ascontiguousarray(input_1))
        self._interpreter.invoke()
        result: NDArray[np.float32] = self._interpreter.get_tensor(self._output["index"])
        return result

    def _edge(self, what: str) -> dict[str, Any]:
        details: list[dict[str, Any]] = getattr(self._interpreter, f"get_{what}_details")()
        only(what, [_edge(detail) for detail in details])
        return details[0]


def _edge(detail: dict[str, Any]) -> Edge:
    sizes = [
        int(size) for size in (detail["shape"] if not len(detail["shape_signature"]) else detail["shape_signature"])
    ]
    return Edge(
        name=str(detail["name"]),
        dtype=np.dtype(detail["dtype"]).name,
        shape=tuple(None if size < 0 else size for size in sizes),
    )


def _require_float(details: list[dict[str, Any]]) -> None:
    """Passes when no tensor is quantized.

    Raises:
        ModelError: one is; there would be nothing to measure variants against, and quantizers pass it by in silence.
    """
    quantized = [detail for detail in details if len(detail["quantization_parameters"]["scales"])]
    if quantized:
        kinds = sorted({np.dtype(detail["dtype"]).name for detail in quantized})
        raise ModelError(
            f"tflite model: {len(quantized)} of its {len(details)} tensors are quantized already ({', '.join(kinds)}),"
            " expected a float model",
            hint="bring the float model that it was made from: it is what variants are measured against",
        )
