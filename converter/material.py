"""What every step of a conversion works on, made once from the candidate and laid into a scratch folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.calibration import MAX_CALIBRATION_ROWS, MAX_HOLDOUT_ROWS, model_inputs, spread_rows
from converter.golden import golden_rows
from converter.parity import slices_of
from fleet_contract.candidate import MODEL_FILE

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.candidate_folder import Source
    from fleet_contract.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Material:
    """The candidate and its rows. `raw_inputs` to `slices` are the held-out rows used; `golden` picks from them.

    The paths are files in `folder`: the model, and preprocessed rows as NPY.
    """

    candidate: Candidate
    folder: Path
    model: Path
    calibration: Path
    holdout: Path
    calibration_rows: int
    raw_inputs: NDArray[np.generic]
    model_inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    slices: dict[str, NDArray[np.bool_]]
    golden: NDArray[np.intp]


def lay_out(source: Source, folder: Path) -> Material:
    """Writes the files and returns what they are.

    Raises:
        DataError: preprocessing makes a value that is not finite.
    """
    candidate, samples = source.candidate, source.samples
    calibration_rows = spread_rows(len(samples.calibration), MAX_CALIBRATION_ROWS)
    kept = spread_rows(len(samples.holdout), MAX_HOLDOUT_ROWS)
    calibration_B = model_inputs(
        candidate.preprocessing, samples.calibration[calibration_rows], what="calibration inputs"
    )
    inputs_B = model_inputs(candidate.preprocessing, samples.holdout[kept], what="held-out inputs")
    labels_B = samples.labels[kept]
    paths = {name: folder / name for name in (MODEL_FILE, "calibration.npy", "holdout.npy")}
    paths[MODEL_FILE].write_bytes(source.model_bytes)
    np.save(paths["calibration.npy"], calibration_B)
    np.save(paths["holdout.npy"], inputs_B)
    return Material(
        candidate=candidate,
        folder=folder,
        model=paths[MODEL_FILE],
        calibration=paths["calibration.npy"],
        holdout=paths["holdout.npy"],
        calibration_rows=len(calibration_rows),
        raw_inputs=samples.holdout[kept],
        model_inputs=inputs_B,
        labels=labels_B,
        slices=slices_of(labels_B, samples.slices[kept], candidate.labels),
        golden=golden_rows(labels_B, len(candidate.labels)),
    )
