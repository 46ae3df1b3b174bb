"""A release's golden vectors: real inputs with the float model's scores, replayed on this board.

Legend: B batch, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fleet_contract.errors import ContractError, ModelError
from fleet_contract.tensors import check_batch

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from device_agent.host.engine import Engine
    from fleet_contract.release import ReleaseManifest, Variant


@dataclass(frozen=True, slots=True)
class GoldenVectors:
    """Raw inputs (B first) and the reference scores for them (BK)."""

    inputs: NDArray[np.generic]
    outputs: NDArray[np.float32]

    def first(self, rows: int) -> GoldenVectors:
        """Only the first `rows` vectors."""
        return GoldenVectors(self.inputs[:rows], self.outputs[:rows])


@dataclass(frozen=True, slots=True)
class GoldenOutcome:
    """How far a variant's scores on this board are from the reference."""

    max_abs_error: float
    agreement: float

    def failure(self, variant: Variant) -> str:
        """In words what `variant` does not keep; empty when it keeps all."""
        if not self.max_abs_error <= variant.golden_tolerance:
            return (
                f"largest error on golden vectors: got {self.max_abs_error:.6g}, "
                f"expected at most {variant.golden_tolerance:.6g}"
            )
        if not self.agreement >= variant.golden_agreement:
            return f"top-1 agreement: got {self.agreement:.4f}, expected at least {variant.golden_agreement:.4f}"
        return ""


def load_golden(path: Path, manifest: ReleaseManifest) -> GoldenVectors:
    """Reads the NPZ at `path`.

    Raises:
        ModelError: it is no NPZ with `inputs` and `outputs` that fit the manifest.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            golden = GoldenVectors(archive["inputs"], archive["outputs"].astype(np.float32, copy=False))
        check_batch(golden.inputs, manifest.inputs[0])
        check_batch(golden.outputs, manifest.outputs[0])
    except (OSError, ValueError, KeyError, EOFError, ContractError) as error:
        raise ModelError(f"golden vectors of {manifest.model} v{manifest.version}: {error}") from error
    if len(golden.inputs) != len(golden.outputs):
        raise ModelError(
            f"golden vectors of {manifest.model} v{manifest.version}: "
            f"got {len(golden.inputs)} inputs and {len(golden.outputs)} outputs, expected as many"
        )
    return golden


def replay(engine: Engine, golden: GoldenVectors) -> GoldenOutcome:
    """Runs the vectors one at a time, as requests come.

    Raises:
        ModelError: a run failed or gave a value that is not finite.
    """
    scores_BK = np.concatenate([engine.infer(golden.inputs[row : row + 1]).scores for row in range(len(golden.inputs))])
    return GoldenOutcome(
        max_abs_error=float(np.abs(scores_BK - golden.outputs).max()),
        agreement=float((scores_BK.argmax(axis=1) == golden.outputs.argmax(axis=1)).mean()),
    )
