"""What every ONNX artifact must be before it leaves this process."""

from __future__ import annotations

from typing import Any

import onnx

from converter.backends.onnx.canonical import IR_VERSION, OPSET
from converter.backends.onnx.session import open_onnx
from fleet_contract.errors import ModelError


def checked(data: bytes, *, float_size_bytes: int, what: str) -> bytes:
    """`data`, a form of the float model that is smaller than that and loads.

    Raises:
        ModelError: it is not, or does not; the message begins with `what`.
    """
    if len(data) >= float_size_bytes:
        raise ModelError(
            f"{what}: the file would have {len(data)} bytes, the float model has {float_size_bytes}; "
            "its weights are too few to pay for what quantization adds"
        )
    return promised(data, what=what)


def promised(data: bytes, *, what: str) -> bytes:
    """`data`, a model of the operator set and the IR version that devices are told of, which loads.

    Raises:
        ModelError: it is not, or does not.
    """
    model: Any = onnx.load_from_string(data)
    opset = next((each.version for each in model.opset_import if each.domain == ""), 0)
    if opset > OPSET or model.ir_version > IR_VERSION:
        raise ModelError(
            f"{what}: got operator set {opset} and IR version {model.ir_version}, expected {OPSET} and {IR_VERSION}"
        )
    open_onnx(data)
    return data
