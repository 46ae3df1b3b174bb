"""TFLite models run in this process by ai-edge-litert, one row at a time on one thread. Legend: B rows, K outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from fleet_contract.errors import ContractError, ModelError
from fleet_contract.tensors import DType, TensorSpec, dequantize, quantize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray


def open_interpreter(data: bytes, *, inspect: bool = False) -> Any:
    """An interpreter with its tensors allocated: with XNNPACK, or with `inspect` without it and every tensor kept.

    Raises:
        ModelError: the runtime cannot load the model.
    """
    resolver = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if inspect else OpResolverType.AUTO
    try:
        interpreter = Interpreter(
            model_content=data,
            num_threads=1,
            experimental_op_resolver_type=resolver,
            experimental_preserve_all_tensors=inspect,
        )
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"ai-edge-litert cannot load the model: {_line(error)}") from error
    return interpreter


def edges(interpreter: Any) -> tuple[TensorSpec, TensorSpec]:
    """Input and output of a loaded model.

    Raises:
        ModelError: it has not one of each with a batch of 1, or their element type is one that no edge may have.
    """
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    if (len(inputs), len(outputs)) != (1, 1):
        raise ModelError(f"model: got {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")
    return _spec(inputs[0]), _spec(outputs[0])


def _spec(detail: dict[str, Any]) -> TensorSpec:
    name, shape, dtype = str(detail["name"]), tuple(map(int, detail["shape"])), np.dtype(detail["dtype"]).name
    if not shape or shape[0] != 1:
        raise ModelError(f"model: got tensor {name!r} of shape {list(shape)}, expected a batch of 1 first")
    if dtype not in set(DType):
        raise ModelError(f"model: got tensor {name!r} of type {dtype}, expected one of {', '.join(DType)}")
    scale, zero_point = detail["quantization"]
    return TensorSpec(name=name, dtype=DType(dtype), shape=shape[1:], scale=float(scale), zero_point=int(zero_point))


def run_rows(interpreter: Any, stored_B: NDArray[np.generic]) -> Iterator[int]:
    """Runs the rows one after the other and yields each row's number while its tensors can be looked at.

    Raises:
        ModelError: the runtime cannot run the model.
    """
    input_index = interpreter.get_input_details()[0]["index"]
    for row in range(len(stored_B)):
        try:
            interpreter.set_tensor(input_index, stored_B[row : row + 1])
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"ai-edge-litert cannot run the model: {_line(error)}") from error
        yield row


def scores(data: bytes, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """Outputs (B, K) of a model on real inputs, quantized and dequantized as on a device.

    Raises:
        ModelError: the runtime cannot load or run it, or its input has another shape.
    """
    interpreter = open_interpreter(data)
    input_spec, output_spec = edges(interpreter)
    check_rows(inputs_B, input_spec)
    stored_B = quantize(np.ascontiguousarray(inputs_B), input_spec)
    output_index = interpreter.get_output_details()[0]["index"]
    rows = [interpreter.get_tensor(output_index).reshape(1, -1) for _ in run_rows(interpreter, stored_B)]
    return dequantize(np.concatenate(rows), output_spec)


def check_rows(inputs_B: NDArray[np.float32], spec: TensorSpec) -> None:
    """Passes when there are rows and each has the model's input shape.

    Raises:
        ModelError: otherwise.
    """
    if len(inputs_B) == 0 or inputs_B.shape[1:] != spec.shape:
        mismatch = ContractError.mismatch("model input", got=inputs_B.shape, expected=f"(B, *{spec.shape}) with B > 0")
        raise ModelError(mismatch.message)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:400]
