"""A build job: one Keras model through several recipes, each outcome on disk as soon as it is there.

A recipe that raises is recorded and the next one goes on; one that kills the process leaves the results before it.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.backends import keras_model
from converter.jobs import REFERENCE_FILE, BuildJob, Built
from converter.recipe import Recipe, parse_recipe
from fleet_contract.codec import encode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray


def build(job: BuildJob, folder: Path) -> None:
    """Does `job`; the results are files in `folder`.

    Raises:
        ModelError: the model cannot be loaded or run.
        ContractError: its shapes are not the candidate's.
    """
    model = keras_model.load_model(Path(job.model), job.input, job.output)
    if job.reference:
        scores_BK = keras_model.float_scores(model, np.load(job.holdout), job.output)
        np.save(folder / REFERENCE_FILE, scores_BK)
    exports = _Exports(model, job, folder)
    for name in job.recipes:
        built = _build_one(exports, parse_recipe(name), folder)
        write_file(folder / f"{name}.result.json", encode(built))


class _Exports:
    """Intermediate forms of the model, each made once and only when a recipe needs it."""

    def __init__(self, model: Any, job: BuildJob, folder: Path) -> None:
        self._model = model
        self._job = job
        self.folder = folder

    @cached_property
    def saved_model(self) -> Path:
        return keras_model.export_saved_model(self._model, self._job.input, self.folder)

    @cached_property
    def onnx(self) -> Path:
        from converter.backends.onnx_model import prepare_float

        return prepare_float(keras_model.export_onnx(self._model, self._job.input, self.folder), self.folder)

    @cached_property
    def calibration(self) -> NDArray[np.float32]:
        rows_B: NDArray[np.float32] = np.load(self._job.calibration)
        return rows_B


def _build_one(exports: _Exports, recipe: Recipe, folder: Path) -> Built:
    started = perf_counter()
    path = folder / recipe.file_name
    try:
        data, stated = _tflite(exports, recipe) if recipe.runtime is Runtime.TFLITE else (_onnx(exports, recipe), "")
    except ModelError as error:
        return Built(recipe=recipe.name, error=error.message, duration_s=perf_counter() - started)
    write_file(path, data)
    return Built(recipe=recipe.name, artifact=path.name, tool_min_version=stated, duration_s=perf_counter() - started)


def _tflite(exports: _Exports, recipe: Recipe) -> tuple[bytes, str]:
    from converter.backends import tflite

    if recipe.quantized:
        data = tflite.convert_int8(exports.saved_model, exports.calibration)
    else:
        data = tflite.convert_float(exports.saved_model)
    return data, tflite.stated_min_version(data)


def _onnx(exports: _Exports, recipe: Recipe) -> bytes:
    from converter.backends import onnx_model

    if recipe.quantized:
        return onnx_model.quantize_int8(exports.onnx, exports.calibration, exports.folder)
    return exports.onnx.read_bytes()
