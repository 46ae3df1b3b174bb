"""onnxruntime sessions on one thread of the CPU: the same numbers on every run. Legend: B rows, K outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime

from converter.backends.translate import tool_errors

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_BASIC = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
_NONE = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL


def open_onnx(data: bytes, *, optimized: bool = True) -> Any:
    """A session over a model; without optimization every value of the graph is really computed.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    options = _options()
    if not optimized:
        options.graph_optimization_level = _NONE
    with tool_errors("onnxruntime: loading the model"):
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def optimize_basic(model: Any, folder: Path) -> Any:
    """The model with constants folded and batch normalization merged: what holds on every processor and runtime.

    Raises:
        ModelError: onnxruntime cannot load it.
    """
    path = folder / "optimized.onnx"
    options = _options()
    options.graph_optimization_level = _BASIC
    options.optimized_model_filepath = str(path)
    with tool_errors("onnxruntime: optimizing the model"):
        onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        return onnx.load(path)


def run_rows(session: Any, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """The outputs of a model with batch 1, flattened: shape (B, K).

    Raises:
        ModelError: onnxruntime cannot run it.
    """
    name = session.get_inputs()[0].name
    with tool_errors("onnxruntime: running the model"):
        rows = [session.run(None, {name: inputs_B[at : at + 1]})[0].reshape(-1) for at in range(len(inputs_B))]
        return np.stack(rows).astype(np.float32, copy=False)


def _options() -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return options
