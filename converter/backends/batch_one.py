"""A TensorFlow function fixed to a batch of 1, and the forms that its tools make of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from converter.backends.onnx.canonical import INPUT_NAME, OPSET
from converter.backends.onnx.model import prepare_float
from converter.backends.tflite import export
from converter.backends.translate import tool_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.process.jobs import Edge


class BatchOne:
    """`run`, a function of one tensor, with an input of `edge`'s shape and batch 1. `owner` holds its variables."""

    def __init__(self, owner: object, run: Callable[[Any], Any], edge: Edge) -> None:
        self._module: Any = tf.Module()
        self._module.owner = owner
        self._spec: Any = tf.TensorSpec((1, *edge.shape[1:]), tf.float32, name=INPUT_NAME)
        self._module.serve = tf.function(run, input_signature=[self._spec])
        self._saved: Path | None = None

    def tflite(self, folder: Path) -> Path:
        """Float TFLite, by the TFLite converter from a SavedModel."""
        path = folder / "float.tflite"
        path.write_bytes(export.convert_float(self._saved_model(folder)))
        return path

    def onnx(self, folder: Path) -> Path:
        """Float ONNX, by tf2onnx; folded and canonical."""
        path = folder / "exported.onnx"
        with tool_errors("tf2onnx"):
            import tf2onnx

            tf2onnx.convert.from_function(
                self._module.serve, input_signature=[self._spec], opset=OPSET, output_path=str(path)
            )
        return prepare_float(path, folder)

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """Full int8, by the TFLite converter."""
        return export.convert_int8(self._saved_model(folder), calibration_B)

    def _saved_model(self, folder: Path) -> Path:
        if self._saved is None:
            path = folder / "batch_one"
            with tool_errors("tensorflow: saving with batch 1"):
                tf.saved_model.save(self._module, str(path), signatures=self._module.serve)
            self._saved = path
        return self._saved
