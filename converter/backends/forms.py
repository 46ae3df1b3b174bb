"""A model in the float forms that recipes start from, each made once and only when a recipe needs it."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from converter.jobs import BuildJob, ModelKind
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Forms(Protocol):
    """A float model. A form that this kind of model cannot be brought to raises ModelError with the reason."""

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The float reference: scores of preprocessed inputs, shape (B, K)."""
        ...

    def tflite(self) -> Path:
        """The float model as TFLite with batch 1."""
        ...

    def onnx(self) -> Path:
        """The float model as ONNX with batch 1, folded and canonical."""
        ...

    def tf_int8(self, calibration_B: NDArray[np.float32]) -> bytes:
        """Full int8 by the TFLite converter's own calibration."""
        ...


def open_forms(job: BuildJob, folder: Path) -> Forms:
    """The job's model, loaded, whose shapes are those of the job's specs.

    Raises:
        ModelError: it cannot be loaded.
        ContractError: its shapes are others.
    """
    if job.kind is ModelKind.KERAS:
        return KerasForms(job, folder)
    raise ModelError(f"model: {job.kind} is not supported")


class KerasForms:
    """A Keras 3 model."""

    def __init__(self, job: BuildJob, folder: Path) -> None:
        from converter.backends import keras_model

        self._job = job
        self._folder = folder
        self._model: Any = keras_model.load_model(Path(job.model), job.input, job.output)

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The float reference."""
        from converter.backends import keras_model

        return keras_model.float_scores(self._model, inputs_B, self._job.output)

    def tflite(self) -> Path:
        """By the TFLite converter, from a SavedModel."""
        return self._tflite

    def onnx(self) -> Path:
        """By tf2onnx, through Keras."""
        return self._onnx

    def tf_int8(self, calibration_B: NDArray[np.float32]) -> bytes:
        """By the TFLite converter, from a SavedModel."""
        from converter.backends import tflite

        return tflite.convert_int8(self._saved_model, calibration_B)

    @cached_property
    def _saved_model(self) -> Path:
        from converter.backends import keras_model

        return keras_model.export_saved_model(self._model, self._job.input, self._folder)

    @cached_property
    def _tflite(self) -> Path:
        from converter.backends import tflite

        path = self._folder / "float.tflite"
        path.write_bytes(tflite.convert_float(self._saved_model))
        return path

    @cached_property
    def _onnx(self) -> Path:
        from converter.backends import keras_model
        from converter.backends.onnx_model import prepare_float

        return prepare_float(keras_model.export_onnx(self._model, self._job.input, self._folder), self._folder)
