"""The candidate's Keras model: loaded, checked against the contract, scored, exported. Legend: B rows, K classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import keras
import numpy as np

from converter.backends.translate import tool_errors
from converter.shapes import check_shape
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_contract.tensors import TensorSpec

INPUT_NAME: Final = "input"
ONNX_OPSET: Final = 17
"""The newest that tf2onnx writes well and that runtimes of 2022 (onnxruntime 1.12) already read."""


def load_model(path: Path, input_spec: TensorSpec, output_spec: TensorSpec) -> Any:
    """The model at `path`, whose shapes are those of the specs.

    Raises:
        ModelError: Keras cannot load it.
        ContractError: its shapes are not those that the candidate promises.
    """
    with tool_errors("keras: loading the model"):
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    check_shape("model input", model.input_shape, input_spec)
    check_shape("model output", model.output_shape, output_spec)
    return model


def float_scores(model: Any, inputs_B: NDArray[np.float32], output_spec: TensorSpec) -> NDArray[np.float32]:
    """The float reference: scores of preprocessed inputs, shape (B, K).

    Raises:
        ModelError: the model cannot run, or gives a shape or a value that are no scores.
    """
    with tool_errors("keras: running the model"):
        scores_BK = np.asarray(model.predict(inputs_B, batch_size=64, verbose=0), np.float32)
    expected = (len(inputs_B), *output_spec.shape)
    if scores_BK.shape != expected:
        raise ModelError(f"float model: got scores of shape {scores_BK.shape}, expected {expected}")
    if not np.isfinite(scores_BK).all():
        rows = int((~np.isfinite(scores_BK)).any(axis=1).sum())
        raise ModelError(f"float model: scores of {rows} held-out rows are not finite", hint="train it again")
    return scores_BK


def export_saved_model(model: Any, input_spec: TensorSpec, folder: Path) -> Path:
    """The model as a SavedModel with batch 1.

    A SavedModel is the way to TFLite that keeps the weights: through a concrete function Keras 3 silently
    writes a model without any (tensorflow#98964).
    """
    path = folder / "saved_model"
    with tool_errors("keras: export to SavedModel"):
        model.export(path, format="tf_saved_model", input_signature=_signature(input_spec), verbose=False)
    return path


def export_onnx(model: Any, input_spec: TensorSpec, folder: Path) -> Path:
    """The model as float ONNX with batch 1."""
    path = folder / "exported.onnx"
    with tool_errors("keras: export to ONNX"):
        model.export(
            path, format="onnx", input_signature=_signature(input_spec), opset_version=ONNX_OPSET, verbose=False
        )
    return path


def _signature(input_spec: TensorSpec) -> list[Any]:
    return [keras.InputSpec(shape=(1, *input_spec.shape), dtype="float32", name=INPUT_NAME)]
