"""A Keras 2 model in an HDF5 file, read by tf-keras.

tf-keras has no safe mode for HDF5, so the file's description of the model is read first: what could run code of the
file's author, or reach files, is refused before tf-keras sees it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import h5py
import msgspec

from converter.backends.batch_one import BatchOne
from converter.backends.float_model import SCORING_ROWS, in_batches, only
from converter.backends.keras2_description import check_description
from converter.backends.translate import tool_errors
from converter.process.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


class Keras2Model(BatchOne):
    """A FloatModel; TensorFlow and ONNX forms come from a function with batch 1."""

    def __init__(self, path: Path) -> None:
        check_description(_description(path))
        with tool_errors("tf-keras: loading the model"):
            import tf_keras

            self._model: Any = tf_keras.models.load_model(path, compile=False)
        self.input = only("input", _edges(self._model.inputs))
        self.output = only("output", _edges(self._model.outputs))
        super().__init__(self._model, self._run, self.input)

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """By tf-keras itself."""
        with tool_errors("tf-keras: running the model"):
            batch = self.input.shape[0] or SCORING_ROWS
            return in_batches(
                lambda rows_B: self._model.predict(rows_B, batch_size=batch, verbose=0),
                inputs_B,
                one_by_one=self.input.shape[0] == 1,
            )

    def _run(self, inputs: Any) -> Any:
        return self._model(inputs, training=False)


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


def _edges(tensors: Any) -> list[Edge]:
    return [Edge(name=str(each.name), dtype=str(each.dtype.name), shape=tuple(each.shape)) for each in tensors]
