"""ONNX without calibration: the float model made ready, and its forms in half precision and with int8 weights."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper
from onnxconverter_common import float16
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.quant_utils import add_pre_process_metadata

from converter.backends.onnx.admission import admit, check_output
from converter.backends.onnx.canonical import canonical_bytes
from converter.backends.onnx.check import checked, promised
from converter.backends.onnx.graph import inner_graphs
from converter.backends.onnx.legalize import legalize
from converter.backends.onnx.session import optimize_basic
from converter.backends.onnx.shapes import note_shapes
from converter.backends.translate import tool_errors
from fleet_contract.errors import ModelError
from fleet_files.durable import write_file

HALF_MAX: Final = float(np.finfo(np.float16).max)
_HALF_TINY: Final = float(np.finfo(np.float16).smallest_subnormal)


def prepare_float(exported: Path, folder: Path) -> Path:
    """The float model as `float.onnx` in `folder`: admitted, folded, with a batch of 1, canonical.

    Raises:
        ModelError: it cannot be taken, and why; or onnxruntime cannot load it.
    """
    with tool_errors("onnx: reading the model"):
        model = onnx.load(exported, load_external_data=False)
    with tool_errors("onnx: preparing the model"):
        model = admit(legalize(model))
        model = optimize_basic(model, folder)
        note_shapes(model)
        check_output(model)
        data = canonical_bytes(model)
    path = folder / "float.onnx"
    write_file(path, promised(data, what="onnx"))
    return path


def half(float_model: Path) -> bytes:
    """The model computing in float16, with float32 edges.

    Raises:
        ModelError: a weight is beyond the range of float16, or there is nothing to store smaller.
    """
    model = onnx.load(float_model)
    _check_half_range(model.graph.initializer)
    nested = sorted({str(node.op_type) for node in model.graph.node if inner_graphs(node)})
    note = f" (which often fails on graphs inside nodes, here {', '.join(nested)})" if nested else ""
    with tool_errors(f"onnxconverter-common: float16{note}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of weights below the smallest float16, which are kept at that
        model = float16.convert_float_to_float16(
            model, min_positive_val=_HALF_TINY, max_finite_val=HALF_MAX, keep_io_types=True
        )
        data = canonical_bytes(model)
    if not any(tensor.data_type == TensorProto.FLOAT16 for tensor in model.graph.initializer):
        raise ModelError("float16: the model has no weights that could be stored in half precision")
    return checked(data, float_size_bytes=float_model.stat().st_size, what="float16")


def dynamic_int8(float_model: Path) -> bytes:
    """The model with int8 weights per column in its matrix products, whose inputs are quantized as they come.

    Convolutions stay in float: quantized dynamically they are 6 to 13 times slower (docs/measurements.md).

    Raises:
        ModelError: it has no matrix products with constant weights, or becomes no smaller.
    """
    model = onnx.load(float_model)
    if not any(node.op_type in {"MatMul", "Gemm"} for node in model.graph.node):
        raise ModelError("dynamic int8: the model has no MatMul or Gemm, so that nothing can be quantized")
    with tool_errors("onnxruntime: dynamic quantization"):
        quantized = _dynamic(model)
        if not any(node.op_type == "MatMulInteger" for node in quantized.graph.node):
            raise ModelError("dynamic int8: no MatMul or Gemm has constant weights, so that nothing was quantized")
        data = canonical_bytes(quantized)
    return checked(data, float_size_bytes=float_model.stat().st_size, what="dynamic int8")


def _dynamic(model: Any) -> Any:
    add_pre_process_metadata(model)  # it is folded already
    with TemporaryDirectory(prefix="edgeferry-onnx-") as folder:
        path = Path(folder) / "dynamic.onnx"
        quantize_dynamic(
            model,
            path,
            op_types_to_quantize=["MatMul"],  # it writes each Gemm as a MatMul first
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
        return onnx.load(path)


def _check_half_range(tensors: Any) -> None:
    for tensor in tensors:
        if tensor.data_type == TensorProto.FLOAT:
            greatest = float(np.abs(numpy_helper.to_array(tensor)).max(initial=0.0))
            if not greatest <= HALF_MAX:
                raise ModelError(f"float16: got a weight of {greatest:g}, expected at most {HALF_MAX:g}")
