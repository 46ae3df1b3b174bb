"""From a caller's raw batch to class scores: the one path that serving, preflight and the SDK share.

Rules: pure composition, no clock, no I/O; a value that is not finite never leaves as a score.
Legend: B batch, K classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from device_agent.host.inputs import as_stored
from fleet_contract.errors import ModelError
from fleet_contract.preprocessing import apply
from fleet_contract.tensors import check_batch, dequantize, quantize

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from device_agent.runtimes.session import Session
    from fleet_contract.release import ReleaseManifest, Variant
    from fleet_contract.tensors import TensorSpec


class NonFiniteError(ModelError):
    """An input after preprocessing, or a score, is NaN or infinite; `rows` are the places in the batch."""

    def __init__(self, what: str, rows: list[int]) -> None:
        super().__init__(
            f"{what} of row {', '.join(map(str, rows[:8]))}: got a value that is not finite, expected finite numbers",
            hint="look at the input: constant or damaged samples can have no finite preprocessing",
        )
        self.rows = rows


@dataclass(frozen=True, slots=True)
class Inference:
    """What one run gave: the raw batch (B first), its preprocessed form (B first), and the scores (BK)."""

    raw: NDArray[np.generic]
    preprocessed: NDArray[np.float32]
    scores: NDArray[np.float32]


class Engine:
    """A release's preprocessing around one loaded variant. Not safe for two threads at once."""

    def __init__(self, manifest: ReleaseManifest, variant: Variant, session: Session) -> None:
        self._steps = manifest.preprocessing
        self._variant = variant
        self._session = session
        self.input: TensorSpec = manifest.inputs[0]
        self.output: TensorSpec = manifest.outputs[0]
        self.labels = manifest.labels

    def infer(self, raw_B: NDArray[np.generic]) -> Inference:
        """Runs a batch of raw inputs as `manifest.inputs` describes them.

        Raises:
            ContractError: another shape or an element type that does not fit.
            NonFiniteError: some row has no finite input or no finite score.
            ModelError: the runtime failed.
        """
        check_batch(raw_B, self.input)
        stored_raw_B = as_stored(raw_B, self.input)
        input_B = apply(self._steps, stored_raw_B)
        _require_finite(input_B, "preprocessed input")
        stored_B = self._session.run(quantize(input_B, self._variant.input))
        scores_BK = dequantize(stored_B, self._variant.output)
        _require_finite(scores_BK, "scores")
        return Inference(stored_raw_B, input_B, scores_BK)


def _require_finite(values_B: NDArray[np.float32], what: str) -> None:
    if np.isfinite(values_B).all():
        return
    finite_B = np.isfinite(values_B.reshape(len(values_B), -1)).all(axis=1)
    raise NonFiniteError(what, np.flatnonzero(~finite_B).tolist())
