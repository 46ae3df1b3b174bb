"""A model in the float forms that recipes start from, each made once and only when a recipe needs it.

A form is held against the model that it was made from as soon as it is there, so that a conversion that is wrong is
named as such, and no search begins on it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from converter.calibration import spread_rows
from converter.process.jobs import BuildJob, ModelKind
from converter.process.runtimes import open_session
from converter.proof.gates import FLOAT_MIN_SQNR_DB
from converter.proof.parity import sqnr_db
from converter.sources.shapes import check_edges, check_shape
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from converter.backends.float_model import FloatModel

PARITY_ROWS: Final = 32


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
    model = open_model(job.kind, Path(job.model))
    check_shape("model input", model.input.shape, job.input)
    check_shape("model output", model.output.shape, job.output)
    return _ProvenForms(model, job, folder)


def open_model(kind: ModelKind, path: Path) -> FloatModel:
    """The model at `path`, whose edges edgeferry can carry.

    Raises:
        ModelError: it cannot be loaded, or its edges are of a form that cannot be carried.
    """
    model = _open(kind, path)
    check_edges(model.input, model.output)
    return model


def _open(kind: ModelKind, path: Path) -> FloatModel:
    if kind is ModelKind.KERAS:
        from converter.backends.keras_model import open_keras

        return open_keras(path)
    if kind is ModelKind.SAVED_MODEL:
        from converter.backends.saved_model import SavedModel

        return SavedModel(path)
    if kind is ModelKind.TFLITE:
        from converter.backends.foreign_tflite import TfliteModel

        return TfliteModel(path)
    from converter.backends.foreign_onnx import OnnxModel

    return OnnxModel(path)


def float_scores(model: FloatModel, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """The float reference: scores of preprocessed inputs, shape (B, K).

    Raises:
        ModelError: the model cannot run, or gives a shape or a value that are no scores.
    """
    scores_BK = model.scores(inputs_B)
    expected = (len(inputs_B), *model.output.shape[1:])
    if scores_BK.shape != expected:
        raise ModelError(f"float model: got scores of shape {scores_BK.shape}, expected {expected}")
    if not np.isfinite(scores_BK).all():
        rows = int((~np.isfinite(scores_BK)).any(axis=1).sum())
        raise ModelError(
            f"float model: scores of {rows} held-out rows are not finite",
            hint="train it again, or look for a division, logarithm or root of what it cannot take",
        )
    return scores_BK


class _ProvenForms:
    """Makes each form once, and proves it against the model's own scores on a few held-out rows."""

    def __init__(self, model: FloatModel, job: BuildJob, folder: Path) -> None:
        self._model = model
        self._holdout = job.holdout
        self._folder = folder
        self._made: dict[Runtime, Path | ModelError] = {}

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The float reference."""
        return float_scores(self._model, inputs_B)

    def tflite(self) -> Path:
        """The float model as TFLite."""
        return self._once(Runtime.TFLITE, self._model.tflite)

    def onnx(self) -> Path:
        """The float model as ONNX."""
        return self._once(Runtime.ONNX, self._model.onnx)

    def tf_int8(self, calibration_B: NDArray[np.float32]) -> bytes:
        """Full int8 by the TFLite converter."""
        return self._model.tf_int8(calibration_B, self._folder)

    def _once(self, runtime: Runtime, make: Callable[[Path], Path]) -> Path:
        """The form, or the reason why there is none, found out once."""
        if runtime not in self._made:
            try:
                path = make(self._folder)
                self._prove(runtime, path)
                self._made[runtime] = path
            except ModelError as error:
                self._made[runtime] = error
        made = self._made[runtime]
        if isinstance(made, ModelError):
            raise made
        return made

    def _prove(self, runtime: Runtime, path: Path) -> None:
        holdout_B: NDArray[np.float32] = np.load(self._holdout, mmap_mode="r")
        inputs_B = np.ascontiguousarray(holdout_B[spread_rows(len(holdout_B), PARITY_ROWS)])
        session = open_session(runtime, path)
        scores_BK = np.concatenate([session.run(inputs_B[row : row + 1]) for row in range(len(inputs_B))])
        reference_BK = self.scores(inputs_B)
        if scores_BK.shape != reference_BK.shape:
            raise ModelError(
                f"float model as {runtime}: got scores of shape {scores_BK.shape}, expected {reference_BK.shape}"
            )
        found_db = sqnr_db(scores_BK.astype(np.float32), reference_BK)
        if not found_db >= FLOAT_MIN_SQNR_DB:
            raise ModelError(
                f"float model as {runtime}: got {found_db:.1f} dB against the model itself, expected"
                f" {FLOAT_MIN_SQNR_DB:g}: the conversion is wrong",
                hint="the tool that converts does not understand a layer of this model; other recipes may",
            )
