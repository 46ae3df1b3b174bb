"""A Keras 2 model in an HDF5 file, read by tf-keras.

tf-keras has no safe mode for HDF5, so the file's description of the model is read first: what could run code of the
file's author, or reach files, is refused before tf-keras sees it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import h5py
import msgspec

from converter.backends.batch_one import BatchOne
from converter.backends.float_model import SCORING_ROWS, in_batches, only
from converter.backends.translate import tool_errors
from converter.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

_CODE: Final = frozenset({"Lambda", "__lambda__", "ClassMethod", "InstanceMethod", "InstanceProperty"})
_MODULES: Final = frozenset({"keras", "tf_keras", "builtins"})
_PURE: Final = re.compile(
    r"(math|nn|linalg|signal|image|__operators__)\.[a-z0-9_.]+"
    r"|cast|clip_by_value|concat|convert_to_tensor|expand_dims|gather|identity|one_hot|ones_like|pad|repeat|reshape"
    r"|reverse|shape|slice|split|squeeze|stack|strided_slice|tile|transpose|unstack|where|zeros_like"
)
"""TensorFlow functions that compute and touch nothing else."""


class Keras2Model:
    """A FloatModel; TensorFlow and ONNX forms come from a function with batch 1."""

    def __init__(self, path: Path) -> None:
        check_description(_description(path))
        with tool_errors("tf-keras: loading the model"):
            import tf_keras

            self._model: Any = tf_keras.models.load_model(path, compile=False)
        self.input = only("input", _edges(self._model.inputs))
        self.output = only("output", _edges(self._model.outputs))
        self._fixed = BatchOne(self._model, self._run, self.input)

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """By tf-keras itself."""
        with tool_errors("tf-keras: running the model"):
            batch = self.input.shape[0] or SCORING_ROWS
            return in_batches(
                lambda rows_B: self._model.predict(rows_B, batch_size=batch, verbose=0),
                inputs_B,
                one_by_one=self.input.shape[0] == 1,
            )

    def tflite(self, folder: Path) -> Path:
        """By the TFLite converter."""
        return self._fixed.tflite(folder)

    def onnx(self, folder: Path) -> Path:
        """By tf2onnx."""
        return self._fixed.onnx(folder)

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """By the TFLite converter."""
        return self._fixed.tf_int8(calibration_B, folder)

    def _run(self, inputs: Any) -> Any:
        return self._model(inputs, training=False)


def check_description(description: object) -> None:
    """Passes for a model of plain layers.

    Raises:
        ModelError: a layer carries code, is not of Keras, or calls TensorFlow for more than arithmetic.
    """
    for part in _dicts(description):
        kind = part.get("class_name")
        if kind in _CODE:
            raise _unsafe(f"a {kind} layer, which carries code")
        module = part.get("module")
        if isinstance(module, str) and module.split(".")[0] not in _MODULES:
            raise _unsafe(f"something from the module {module!r}")
        if kind in {"TFOpLambda", "SlicingOpLambda"}:
            _check_function(part.get("config"))


def _check_function(config: object) -> None:
    function = config.get("function") if isinstance(config, dict) else None
    if not isinstance(function, str) or not _PURE.fullmatch(function):
        raise _unsafe(f"a call of {function!r}")


def _unsafe(what: str) -> ModelError:
    return ModelError(
        f"keras 2 model: it holds {what}; such a model is not opened",
        hint="build it from plain layers, or export it as a SavedModel or ONNX",
    )


def _description(path: Path) -> object:
    with tool_errors("hdf5: reading the model"), h5py.File(path, "r") as file:
        text = file.attrs.get("model_config")
        if text is None:
            raise ModelError(
                "hdf5: it holds no model, only weights or other data",
                hint="save the whole model: model.save('model.h5')",
            )
        description: object = msgspec.json.decode(text)
        return description


def _dicts(value: object) -> Iterator[dict[str, object]]:
    """Every dictionary inside `value`, at any depth."""
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, dict):
            yield each
            waiting.extend(each.values())
        elif isinstance(each, list):
            waiting.extend(each)


def _edges(tensors: Any) -> list[Edge]:
    return [Edge(name=str(each.name), dtype=str(each.dtype.name), shape=tuple(each.shape)) for each in tensors]
