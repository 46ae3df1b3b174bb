"""A Keras 3 model: loaded, scored, exported. Legend: B rows, K classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from zipfile import is_zipfile

import keras
import numpy as np

from converter.backends.float_model import SCORING_ROWS, FloatModel, only
from converter.backends.onnx.canonical import INPUT_NAME, OPSET
from converter.backends.onnx.model import prepare_float
from converter.backends.tflite import export
from converter.backends.translate import tool_errors
from converter.process.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

_HDF5: Final = b"\x89HDF\r\n\x1a\n"


def open_keras(path: Path) -> FloatModel:
    """The model at `path`; an HDF5 file that Keras 3 cannot read is of Keras 2.

    Raises:
        ModelError: no Keras can load it, or it has several inputs or outputs.
    """
    if path.suffix == ".keras" and not is_zipfile(path):
        raise ModelError("keras: the file is no whole ZIP archive, as a .keras file is", hint="copy or save it again")
    try:
        return KerasModel(path)
    except ModelError as error:
        if not _is_hdf5(path):
            raise
        from converter.backends.keras2 import Keras2Model

        try:
            return Keras2Model(path)
        except ModelError as second:
            raise ModelError(f"{error.message}; {second.message}", hint=second.hint) from second


class KerasModel:
    """A FloatModel. TensorFlow and ONNX forms come from Keras's own exports."""

    def __init__(self, path: Path) -> None:
        with tool_errors("keras: loading the model"):
            self._model: Any = keras.saving.load_model(path, compile=False, safe_mode=True)
        self.input = only("input", _edges(self._model, "inputs"))
        self.output = only("output", _edges(self._model, "outputs"))
        self._saved: Path | None = None

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """By Keras itself."""
        batch = self.input.shape[0] or SCORING_ROWS
        with tool_errors("keras: running the model"):
            return np.asarray(self._model.predict(inputs_B, batch_size=batch, verbose=0), np.float32)

    def tflite(self, folder: Path) -> Path:
        """By the TFLite converter, from a SavedModel."""
        path = folder / "float.tflite"
        path.write_bytes(export.convert_float(self._saved_model(folder)))
        return path

    def onnx(self, folder: Path) -> Path:
        """By tf2onnx, through Keras."""
        path = folder / "exported.onnx"
        signature = self._signature()
        with tool_errors("keras: export to ONNX"):
            self._model.export(path, format="onnx", input_signature=signature, opset_version=OPSET, verbose=False)
        return prepare_float(path, folder)

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """By the TFLite converter, from a SavedModel."""
        return export.convert_int8(self._saved_model(folder), calibration_B)

    def _saved_model(self, folder: Path) -> Path:
        """The model as a SavedModel with batch 1, made once.

        A SavedModel is the way to TFLite that keeps the weights: through a concrete function Keras 3 silently
        writes a model without any (tensorflow#98964).
        """
        if self._saved is None:
            path = folder / "saved_model"
            with tool_errors("keras: export to SavedModel"):
                self._model.export(path, format="tf_saved_model", input_signature=self._signature(), verbose=False)
            self._saved = path
        return self._saved

    def _signature(self) -> list[Any]:
        return [keras.InputSpec(shape=(1, *self.input.shape[1:]), dtype="float32", name=INPUT_NAME)]


def _edges(model: Any, what: str) -> list[Edge]:
    """The inputs or outputs of a built model.

    Raises:
        ModelError: the model was never built, so that it has no shapes.
    """
    with tool_errors(f"keras: the model's {what}"):
        tensors: Iterable[Any] = getattr(model, what) or ()
        return [Edge(name=str(each.name), dtype=str(each.dtype), shape=tuple(each.shape)) for each in tensors]


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_HDF5)) == _HDF5
