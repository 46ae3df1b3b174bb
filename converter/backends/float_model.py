"""The port behind which every kind of model comes: its edges, its float scores, and the forms it can be brought to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.process.jobs import Edge

SCORING_ROWS: Final = 64
"""Rows that go through a model at a time where it takes any number."""


class FloatModel(Protocol):
    """A loaded model. A form that it cannot be brought to raises ModelError with the reason."""

    input: Edge
    output: Edge

    def scores(self, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
        """The model's own outputs, batch first."""
        ...

    def tflite(self, folder: Path) -> Path:
        """Float TFLite with batch 1, in `folder`."""
        ...

    def onnx(self, folder: Path) -> Path:
        """Float ONNX with batch 1, folded and canonical, in `folder`."""
        ...

    def tf_int8(self, calibration_B: NDArray[np.float32], folder: Path) -> bytes:
        """Full int8 by the TFLite converter's own calibration."""
        ...


def only(what: str, edges: Sequence[Edge]) -> Edge:
    """The one input or output that a model has.

    Raises:
        ModelError: it has none or several.
    """
    if len(edges) != 1:
        names = ", ".join(repr(edge.name) for edge in edges) or "none"
        raise ModelError(
            f"model: got {len(edges)} {what}s ({names}), expected one",
            hint=f"wrap the model in one that has a single {what}, and bring that",
        )
    return edges[0]


def in_batches(
    run: Callable[[NDArray[np.float32]], NDArray[np.float32]], inputs_B: NDArray[np.float32], *, one_by_one: bool
) -> NDArray[np.float32]:
    """Scores of all rows from a model that takes any number of them, or only one, at a time."""
    step = 1 if one_by_one else SCORING_ROWS
    parts = [run(np.ascontiguousarray(inputs_B[at : at + step])) for at in range(0, len(inputs_B), step)]
    return np.concatenate(parts).astype(np.float32, copy=False)
