"""A TensorFlow SavedModel of any origin, through its serving signature.

A SavedModel is a program. Before TensorFlow loads it, its operators are read, and one that reaches files, other
programs or the network is refused; what is left runs in a child process with limits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from converter.backends.batch_one import BatchOne
from converter.backends.float_model import in_batches, only
from converter.backends.translate import tool_errors
from converter.process.jobs import Edge
from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

SERVING: Final = "serving_default"
_REACHING: Final = (
    "Audio", "CollectiveReduce", "DebugIdentity", "EagerPyFunc", "FixedLengthRecord", "GcsConfigure", "LMDB",
    "LoadAndRemap", "LoadDataset", "LoadTPU", "MatchingFiles", "PyFunc", "ReadFile", "RecordInput", "RegisterDataset",
    "RemoteCall", "RpcCall", "RpcClient", "RpcServer", "SaveDataset", "SqlDataset", "TFRecord", "TextLine",
    "WholeFileReader", "WriteFile", "WriteSummary", "CreateSummaryFile", "CreateSummaryDb", "DataService",
)  # fmt: skip
"""How the names of operators begin that reach beyond the model. Checkpoints stay: every SavedModel has them."""


class SavedModel(BatchOne):
    """A FloatModel."""

    def __init__(self, path: Path) -> None:
        check_operators(path)
        with tool_errors("tensorflow: loading the SavedModel"):
            self._loaded: Any = tf.saved_model.load(str(path))
        self._signature = _serving(self._loaded.signatures)
        self.input = only("input", [_edge(*each) for each in _inputs(self._signature).items()])
        self.output = only("output", [_edge(*each) for each in self._signature.structured_outputs.items()])
        super().__init__(self._loaded, self._run, self.input)

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """Through the serving signature."""
        with tool_errors("tensorflow: running the SavedModel"):
            return in_batches(
                lambda rows_B: self._run(tf.constant(rows_B)).numpy(),
                inputs_B,
                one_by_one=self.input.shape[0] == 1,
            )

    def _run(self, inputs: Any) -> Any:
        return self._signature(**{self.input.name: inputs})[self.output.name]


def check_operators(path: Path) -> None:
    """Passes when no graph in the SavedModel has an operator that reaches beyond the model.

    Raises:
        ModelError: one has, or the file is no SavedModel.
    """
    with tool_errors("tensorflow: reading the SavedModel"):
        proto: Any = saved_model_pb2.SavedModel()
        proto.ParseFromString((path / "saved_model.pb").read_bytes())
    if not proto.meta_graphs:
        raise ModelError("tensorflow: the SavedModel holds no graph")
    found = sorted({name for name in _operators(proto) if name.startswith(_REACHING)})
    if found:
        raise ModelError(
            f"SavedModel: it has operators that reach beyond the model ({', '.join(found)}); it is not opened",
            hint="export the model alone, without reading, decoding or logging",
        )


def _operators(proto: Any) -> Iterator[str]:
    for graph in proto.meta_graphs:
        for node in graph.graph_def.node:
            yield str(node.op)
        for function in graph.graph_def.library.function:
            for node in function.node_def:
                yield str(node.op)


def _serving(signatures: Any) -> Any:
    names = sorted(signatures)
    if SERVING in names:
        return signatures[SERVING]
    if len(names) == 1:
        return signatures[names[0]]
    raise ModelError(
        f"SavedModel: got the signatures {names}, expected {SERVING!r} or a single one",
        hint="export it with model.export(folder), or tf.saved_model.save(..., signatures=...)",
    )


def _inputs(signature: Any) -> dict[str, Any]:
    _, named = signature.structured_input_signature
    return dict(named)


def _edge(name: str, spec: Any) -> Edge:
    if spec.shape.rank is None:
        raise ModelError(f"SavedModel: the shape of {name!r} is not known, not even its rank")
    return Edge(name=name, dtype=str(spec.dtype.name), shape=tuple(spec.shape))
