"""TFLite files through ai-edge-litert or tflite-runtime, whose interpreters have one interface.

Batches run row by row: files have a fixed batch of 1 or are kept at it, because XNNPACK cannot reshape a
fixed one and a changing batch would make memory unbounded. Source: docs/measurements.md (converter).
Legend: B batch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_contract.release import Variant


class TfliteSession:
    """One interpreter with its tensors allocated once."""

    def __init__(self, interpreter: Any, variant: Variant) -> None:
        self._interpreter = interpreter
        self._title = variant.id
        _fit_batch_of_one(interpreter, variant.input.shape)
        interpreter.allocate_tensors()
        self._input = _only(interpreter.get_input_details(), "input", variant)
        self._output = _only(interpreter.get_output_details(), "output", variant)
        self.input = _spec(self._input)
        self.output = _spec(self._output)

    def run(self, input_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """See `Session.run`."""
        try:
            return np.concatenate([self._run_one(input_B[row : row + 1]) for row in range(len(input_B))])
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"running {self._title}: {error}") from error

    def _run_one(self, input_1: NDArray[np.generic]) -> NDArray[np.generic]:
        self._interpreter.set_tensor(self._input["index"], input_1)
        self._interpreter.invoke()
        output_1: NDArray[np.generic] = self._interpreter.get_tensor(self._output["index"])
        return output_1


def open_file(path: Path, variant: Variant, *, threads: int, module: str) -> TfliteSession:
    """Opens a TFLite file with the interpreter of `module`.

    Raises:
        ModelError: the interpreter refuses the file.
    """
    try:
        interpreter = import_module(module).Interpreter(model_path=str(path), num_threads=threads)
        return TfliteSession(interpreter, variant)
    except (RuntimeError, ValueError, ImportError) as error:
        raise ModelError(
            f"loading {variant.id} with {module}: {error}", hint="the file needs another version of the runtime"
        ) from error


def _fit_batch_of_one(interpreter: Any, shape: tuple[int, ...]) -> None:
    """Gives an input whose sizes the file leaves open the manifest's sizes and a batch of one."""
    for details in interpreter.get_input_details():
        signature = tuple(int(size) for size in details["shape_signature"])
        wanted = (1, *shape)
        is_open = len(signature) == len(wanted) and all(
            size in (-1, want) for size, want in zip(signature, wanted, strict=True)
        )
        if is_open and tuple(details["shape"]) != wanted:
            interpreter.resize_tensor_input(details["index"], list(wanted))


def _only(details: list[dict[str, Any]], side: str, variant: Variant) -> dict[str, Any]:
    if len(details) != 1:
        raise ModelError(f"{side}s of {variant.id}: got {len(details)}, expected 1")
    return details[0]


def _spec(details: dict[str, Any]) -> TensorSpec:
    shape = tuple(int(size) for size in details["shape"])
    if shape[:1] != (1,):
        raise ModelError(f"tensor {details['name']}: got shape {list(shape)}, expected a batch axis of size 1 first")
    scale, zero_point = details["quantization"]
    return TensorSpec(
        name=details["name"],
        dtype=_dtype(details),
        shape=shape[1:],
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _dtype(details: dict[str, Any]) -> DType:
    name = np.dtype(details["dtype"]).name
    try:
        return DType(name)
    except ValueError as error:
        raise ModelError(f"tensor {details['name']}: got type {name}, expected one of {', '.join(DType)}") from error
