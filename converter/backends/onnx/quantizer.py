"""Static int8 ONNX in QDQ form by onnxruntime, again and again from one calibration.

Weights are signed and per channel, in 7 bits: on x86 without VNNI products of 8 bits saturate silently (decision 0007).
Activations are unsigned with a zero point, which is the quickest on x86; biases are int32.

A signed plan is for TensorRT and for ARM:
- Activations are symmetric: TensorRT takes zero points of 0 only, and onnxruntime recommends the same for ARM. What
  follows a Relu then uses half of the codes, which costs 2 to 10 dB against the unsigned form.
- Biases stay in float: TensorRT's parser refuses DequantizeLinear of int32 ("only activation types allowed",
  onnxruntime issue 14229); onnxruntime 1.21 and newer quantizes them while it loads. They make the file smaller, too.
- Weights keep 7 bits, although neither target needs that: with 8 bits the gates, which run on x86, would judge other
  numbers than the device computes (resnet8: 3 dB instead of 11 on a processor without VNNI; with 7 bits 9 dB on both).
- Every operator gets a QDQ pair of its own, which TensorRT expects (onnxruntime pull request 9720).
Source: onnxruntime's guide to quantization on GPU and its notes on types at quantize_static; TensorRT's documentation
of quantized types. No TensorRT was at hand to try it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx
from onnx import TensorProto
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import TensorsData
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.quant_utils import add_infer_metadata
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from converter.backends.onnx.canonical import canonical_bytes
from converter.backends.onnx.check import checked, promised
from converter.backends.onnx.ranges import Activations, float_values
from converter.backends.onnx.session import open_onnx, run_rows
from converter.backends.onnx.shapes import note_shapes
from converter.backends.translate import tool_errors
from converter.plan import Layer
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.plan import Plan

_FOLLOWERS: Final = frozenset(
    {
        "AveragePool", "Clip", "Flatten", "MaxPool", "Relu", "Reshape", "Resize", "Slice", "Squeeze", "TopK",
        "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
"""Operators that onnxruntime quantizes exactly when their input is: they are no choice of their own."""
_OPERATORS: Final = tuple(sorted({*QLinearOpsRegistry, *QDQRegistry}))
_BYTES: Final = frozenset({TensorProto.INT8, TensorProto.UINT8})
_QUANTIZED: Final = frozenset({"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger"})


class OnnxQuantizer:
    """A converter.plan.Quantizer over a model that onnx_model.prepare_float made."""

    int4_layers: tuple[str, ...] = ()

    def __init__(self, float_model: Path, calibration_B: NDArray[np.float32]) -> None:
        """Calibrates on `calibration_B`.

        Raises:
            ModelError: the model cannot run, is quantized already, or has nothing that could be.
        """
        self._float_bytes = float_model.read_bytes()
        self._model = _with_shapes(self._float_bytes)
        self.layers = _layers(self._model.graph)
        self._activations = Activations(self._model, calibration_B)
        self._float_session = open_onnx(self._float_bytes)

    def quantize(self, plan: Plan) -> bytes:
        """The artifact; see Quantizer."""
        kept = self._int8_layers(plan)
        ranges = self._activations.ranges(plan.ranges, rows=plan.calibration_rows, symmetric=plan.signed)
        with tool_errors("onnxruntime: quantizing"):
            quantized = _quantized(self._model, ranges, plan)
            data = canonical_bytes(quantized)
        self._check(quantized, data, kept)
        return data

    def scores(self, artifact: bytes, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) on one thread of the CPU."""
        return run_rows(open_onnx(artifact), inputs_B)

    def float_scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (B, K) of the float model on one thread of the CPU."""
        return run_rows(self._float_session, inputs_B)

    def _int8_layers(self, plan: Plan) -> list[Layer]:
        """The layers that a plan quantizes."""
        if plan.bias or plan.int4_layers:
            raise ModelError("onnx: bias correction and int4 weights are for TFLite only")
        unknown = set(plan.float_layers) - {layer.name for layer in self.layers}
        if unknown:
            raise ModelError(f"onnx: the model has no layers {', '.join(sorted(unknown))}")
        kept = [layer for layer in self.layers if layer.name not in plan.float_layers]
        if not kept:
            raise ModelError("onnx: every layer is to stay in float, so that nothing would be quantized")
        return kept

    def _check(self, quantized: Any, data: bytes, kept: list[Layer]) -> None:
        """Refuses what the tool silently did not do. A layer alone is a probe, which need not pay for its QDQ nodes."""
        operators = {node.op_type for node in quantized.graph.node}
        weights = sum(tensor.data_type in _BYTES and len(tensor.dims) > 1 for tensor in quantized.graph.initializer)
        if "QuantizeLinear" not in operators or (weights == 0 and any(layer.weight_count for layer in kept)):
            raise ModelError(f"onnx int8: onnxruntime left {len(kept)} layers in float without saying so")
        if len(kept) == 1:
            promised(data, what="onnx int8")
        else:
            checked(data, float_size_bytes=len(self._float_bytes), what="onnx int8")


def _with_shapes(data: bytes) -> Any:
    model = onnx.load_from_string(data)
    present = sorted({node.op_type for node in model.graph.node} & _QUANTIZED)
    if present:
        raise ModelError(f"onnx: the model is quantized already (it has {', '.join(present)})")
    note_shapes(model)
    add_infer_metadata(model)
    return model


def _layers(graph: Any) -> tuple[Layer, ...]:
    floats = {value.name for value in float_values(graph)}
    weights = {tensor.name: int(np.prod(tensor.dims)) for tensor in graph.initializer}
    found = tuple(
        Layer(name=node.name, kind=node.op_type, weight_count=_weight_count(node, weights))
        for node in graph.node
        if node.op_type in _OPERATORS and node.op_type not in _FOLLOWERS and node.output[0] in floats
    )
    if not any(layer.weight_count for layer in found):
        operators = ", ".join(sorted({node.op_type for node in graph.node}))
        raise ModelError(f"onnx int8: no operator with constant weights can be quantized; the model has {operators}")
    return found


def _weight_count(node: Any, weights: Mapping[str, int]) -> int:
    if node.op_type not in {"Conv", "ConvTranspose", "Gemm", "MatMul", "Gather"}:
        return 0
    return sum(weights.get(name, 0) for name in node.input[:2])


def _quantized(model: Any, ranges: Mapping[str, tuple[float, float]], plan: Plan) -> Any:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    data = {name: (np.float32(low), np.float32(high)) for name, (low, high) in ranges.items()}
    quantizer = QDQQuantizer(
        copy,
        per_channel=True,
        reduce_range=True,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8 if plan.signed else QuantType.QUInt8,
        tensors_range=TensorsData(CalibrationMethod.MinMax, data),
        nodes_to_quantize=[],
        nodes_to_exclude=list(plan.float_layers),
        op_types_to_quantize=_OPERATORS,
        extra_options={
            "ActivationSymmetric": plan.signed,
            "QuantizeBias": not plan.signed,
            "DedicatedQDQPair": plan.signed,
        },
    )
    return quantizer.quantize_model()
