"""The real runtimes behind one small port: load an artifact, run rows one at a time on one thread.

Only child processes use these: a file that makes a runtime crash must not take the tool with it.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

from converter.proof.compatibility import PACKAGES
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import MissingExtraError, ModelError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_MODULES: Final = {
    "ai-edge-litert": ("ai_edge_litert.interpreter", "tflite"),
    "tflite-runtime": ("tflite_runtime.interpreter", "tflite-runtime"),
    "onnxruntime": ("onnxruntime", "onnx"),
}
"""For each runtime package the module to import, and the extra of ours that installs it."""
_ONNX_DTYPES: Final = {
    "tensor(float)": DType.FLOAT32,
    "tensor(float16)": DType.FLOAT16,
    "tensor(int8)": DType.INT8,
    "tensor(uint8)": DType.UINT8,
}


class Session(Protocol):
    """A loaded model with one input and one output, as stored (quantized) tensors."""

    input: TensorSpec
    output: TensorSpec
    runtime_version: str
    runtime_package: str

    def run(self, stored_1: NDArray[np.generic]) -> NDArray[np.generic]:
        """The output for one input; both carry a batch axis of 1. The result is the caller's."""

    def run_rows(self, stored_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """The outputs of inputs (B, ...), B at least 1, each run alone: the same bits as `run`, in less time."""


def open_session(runtime: Runtime, path: Path, *, package: str = "") -> Session:
    """The artifact at `path`, loaded with `package`, or with the first package of the family that is installed.

    Raises:
        ModelError: the runtime cannot load it, or it has not one input and one output.
        MissingExtraError: the runtime is not installed.
    """
    return _LiteRtSession(path, package) if runtime is Runtime.TFLITE else _OnnxSession(path)


def runtime_module(package: str) -> Any:
    """The module of a runtime package that is installed.

    Raises:
        MissingExtraError: it is not.
    """
    module, extra = _MODULES[package]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        raise MissingExtraError.for_extra(extra, package) from error


def _preferred(runtime: Runtime) -> str:
    installed = (name for name in PACKAGES[runtime] if find_spec(_MODULES[name][0].partition(".")[0]))
    return next(installed, PACKAGES[runtime][0])


class _LiteRtSession:
    """ai-edge-litert, or tflite-runtime, its forerunner with the same interface; XNNPACK as each has it by default."""

    def __init__(self, path: Path, package: str) -> None:
        self.runtime_package = package or _preferred(Runtime.TFLITE)
        module = runtime_module(self.runtime_package)
        try:
            self._interpreter = module.Interpreter(model_path=str(path), num_threads=1)
            self._interpreter.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{path.name}: {self.runtime_package} cannot load it: {error}") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        _check_one(path, inputs, outputs)
        self._input_index, self._output_index = inputs[0]["index"], outputs[0]["index"]
        self.input, self.output = _litert_spec(inputs[0]), _litert_spec(outputs[0])
        self.runtime_version = installed_version(self.runtime_package)

    def run(self, stored_1: NDArray[np.generic]) -> NDArray[np.generic]:
        try:
            self._interpreter.set_tensor(self._input_index, stored_1)
            self._interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.runtime_package} cannot run it: {error}") from error
        result: NDArray[np.generic] = self._interpreter.get_tensor(self._output_index)
        return result

    def run_rows(self, stored_B: NDArray[np.generic]) -> NDArray[np.generic]:
        set_tensor, invoke, get_tensor = (
            getattr(self._interpreter, name) for name in ("set_tensor", "invoke", "get_tensor")
        )
        rows = []
        try:
            for stored_1 in stored_B[:, np.newaxis]:
                set_tensor(self._input_index, stored_1)
                invoke()
                rows.append(get_tensor(self._output_index))
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{self.runtime_package} cannot run it: {error}") from error
        return np.concatenate(rows)


class _OnnxSession:
    """onnxruntime on the CPU."""

    def __init__(self, path: Path) -> None:
        self.runtime_package = "onnxruntime"
        onnxruntime = runtime_module(self.runtime_package)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"{path.name}: onnxruntime cannot load it: {error}") from error
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        _check_one(path, inputs, outputs)
        self.input, self.output = _onnx_spec(path, inputs[0]), _onnx_spec(path, outputs[0])
        self.runtime_version = installed_version(self.runtime_package)

    def run(self, stored_1: NDArray[np.generic]) -> NDArray[np.generic]:
        try:
            result: NDArray[np.generic] = self._session.run([self.output.name], {self.input.name: stored_1})[0]
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"onnxruntime cannot run it: {error}") from error
        return result

    def run_rows(self, stored_B: NDArray[np.generic]) -> NDArray[np.generic]:
        stored_1, output_1 = _empty(1, self.input), _empty(1, self.output)
        output_B = _empty(len(stored_B), self.output)
        try:
            binding, run = self._bound(stored_1, output_1), self._session.run_with_iobinding
            for row, stored in enumerate(stored_B):
                stored_1[0] = stored
                run(binding)
                output_B[row] = output_1[0]
        except Exception as error:  # onnxruntime's errors share no base class
            raise ModelError(f"onnxruntime cannot run it: {error}") from error
        return output_B

    def _bound(self, stored_1: NDArray[np.generic], output_1: NDArray[np.generic]) -> Any:
        """Input and output bound to these arrays once: else each run pays for it, more than for a small network."""
        value = runtime_module(self.runtime_package).OrtValue.ortvalue_from_numpy
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self.input.name, value(stored_1))
        binding.bind_ortvalue_output(self.output.name, value(output_1))
        return binding


def _empty(count: int, spec: TensorSpec) -> NDArray[np.generic]:
    return np.empty((count, *spec.shape), spec.dtype.value)


def _check_one(path: Path, inputs: Sequence[object], outputs: Sequence[object]) -> None:
    if (len(inputs), len(outputs)) != (1, 1):
        raise ModelError(f"{path.name}: got {len(inputs)} inputs and {len(outputs)} outputs, expected one of each")


def _litert_spec(detail: dict[str, Any]) -> TensorSpec:
    scale, zero_point = detail["quantization"]
    return TensorSpec(
        name=str(detail["name"]),
        dtype=DType(np.dtype(detail["dtype"]).name),
        shape=tuple(int(size) for size in detail["shape"][1:]),
        scale=float(scale),
        zero_point=int(zero_point),
    )


def _onnx_spec(path: Path, value: Any) -> TensorSpec:
    dtype = _ONNX_DTYPES.get(value.type)
    if dtype is None or not all(isinstance(size, int) for size in value.shape[1:]):
        raise ModelError(f"{path.name}: got {value.name} as {value.type} {value.shape}, expected a fixed float shape")
    return TensorSpec(name=str(value.name), dtype=dtype, shape=tuple(value.shape[1:]))


def installed_version(package: str) -> str:
    """The version of an installed package."""
    from importlib.metadata import version

    return version(package)
