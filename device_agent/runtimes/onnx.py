"""ONNX files through onnxruntime, with whatever execution providers its package has on this board.

A file with a free batch axis runs a whole batch at once, CHUNK_ROWS rows at most; one with a fixed batch of 1
runs row by row. Legend: B batch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from fleet_contract.release import Variant

CHUNK_ROWS: Final = 32
_REMOTE_PROVIDERS: Final = {"AzureExecutionProvider"}
_DTYPES: Final = {
    "tensor(float)": DType.FLOAT32,
    "tensor(float16)": DType.FLOAT16,
    "tensor(int8)": DType.INT8,
    "tensor(uint8)": DType.UINT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
}
_ERROR_LEVEL: Final = 3


class OnnxSession:
    """One onnxruntime session."""

    def __init__(self, session: Any, variant: Variant) -> None:
        self._session = session
        self._title = variant.id
        self.input, input_rows = _spec(_only(session.get_inputs(), "input", variant), variant.input)
        self.output, output_rows = _spec(_only(session.get_outputs(), "output", variant), variant.output)
        self._rows = min(input_rows, output_rows)

    def run(self, input_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """See `Session.run`."""
        try:
            parts = [self._run_rows(input_B[row : row + self._rows]) for row in range(0, len(input_B), self._rows)]
            return np.concatenate(parts)
        except Exception as error:  # onnxruntime's errors share no other base
            raise ModelError(f"running {self._title}: {error}") from error

    def _run_rows(self, input_B: NDArray[np.generic]) -> NDArray[np.generic]:
        output_B: NDArray[np.generic] = self._session.run([self.output.name], {self.input.name: input_B})[0]
        if output_B.shape != (len(input_B), *self.output.shape):
            raise ModelError(
                f"output of {self._title}: got shape {list(output_B.shape)}, "
                f"expected {[len(input_B), *self.output.shape]}"
            )
        return output_B


def open_file(path: Path, variant: Variant, *, threads: int, module: str) -> OnnxSession:
    """Opens an ONNX file with `module`, which is onnxruntime or offers the same.

    Raises:
        ModelError: the runtime refuses the file.
    """
    try:
        runtime = import_module(module)
        providers = [name for name in runtime.get_available_providers() if name not in _REMOTE_PROVIDERS]
        session = runtime.InferenceSession(str(path), _options(runtime, threads), providers=providers)
        return OnnxSession(session, variant)
    except ModelError:
        raise
    except Exception as error:  # onnxruntime's errors share no other base
        raise ModelError(
            f"loading {variant.id} with {module}: {error}", hint="the file needs another version of the runtime"
        ) from error


def _options(runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERROR_LEVEL
    return options


def _only(nodes: list[Any], side: str, variant: Variant) -> Any:
    if len(nodes) != 1:
        raise ModelError(f"{side}s of {variant.id}: got {len(nodes)}, expected 1")
    return nodes[0]


def _spec(node: Any, expected: TensorSpec) -> tuple[TensorSpec, int]:
    """The tensor with the file's fixed sizes, `expected`'s where the file leaves them open, and rows per run."""
    if node.type not in _DTYPES:
        raise ModelError(f"tensor {node.name}: got type {node.type}, expected one of {', '.join(_DTYPES)}")
    sizes = list(node.shape)
    if not sizes or (isinstance(sizes[0], int) and sizes[0] != 1):
        raise ModelError(f"tensor {node.name}: got shape {sizes}, expected a free batch axis or one of size 1 first")
    rest = sizes[1:]
    if len(rest) == len(expected.shape):
        rest = [size if isinstance(size, int) else want for size, want in zip(rest, expected.shape, strict=True)]
    shape = tuple(size if isinstance(size, int) else -1 for size in rest)
    dtype = _DTYPES[node.type]
    scaled = dtype is expected.dtype  # an ONNX file does not tell its edges' scale: the manifest does
    spec = TensorSpec(
        name=node.name,
        dtype=dtype,
        shape=shape,
        scale=expected.scale if scaled else 0.0,
        zero_point=expected.zero_point if scaled else 0,
    )
    return spec, 1 if isinstance(sizes[0], int) else CHUNK_ROWS
