"""ONNX: prepared for quantization, made canonical, quantized by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from converter.backends.canonical import INPUT_NAME, canonical_bytes
from converter.backends.legalize import legalize
from converter.backends.translate import tool_errors
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray


def prepare_float(exported: Path, folder: Path) -> Path:
    """The float model: folded, with shapes, canonical.

    Symbolic shape inference is left out: every shape is fixed already, as the batch is 1.
    """
    legal, prepared, path = (folder / f"{name}.onnx" for name in ("legal", "prepared", "float"))
    with tool_errors("onnxruntime: preparing the model"):
        onnx.save(legalize(onnx.load(exported)), legal)
        quant_pre_process(legal, prepared, skip_symbolic_shape=True)
        data = canonical_bytes(onnx.load(prepared))
    write_file(path, data)
    return path


def quantize_int8(float_model: Path, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
    """Static int8 in QDQ form: unsigned activations (min-max), signed weights per channel, float edges.

    Weights take 7 bits: on x86 without VNNI (many gateways and CI machines) products of 8 bits saturate silently,
    which cost 20 dB on a small CNN; 7 bits cost about 1 dB and give the same numbers on every processor.
    """
    path = folder / "quantized.onnx"
    with tool_errors("onnxruntime: quantizing"):
        quantize_static(
            float_model,
            path,
            _Rows(calibration_B),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return canonical_bytes(onnx.load(path))


class _Rows:
    """Calibration rows one at a time, in the form of onnxruntime's CalibrationDataReader."""

    def __init__(self, inputs_B: NDArray[np.float32]) -> None:
        self._rows = iter([inputs_B[index : index + 1] for index in range(len(inputs_B))])

    def get_next(self) -> dict[str, Any] | None:
        """The next row by input name, None at the end."""
        row = next(self._rows, None)
        return None if row is None else {INPUT_NAME: row}
