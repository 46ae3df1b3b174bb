"""What every step of a conversion works on, made once from the candidate and laid into a scratch folder."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from converter.calibration import MAX_HOLDOUT_ROWS, calibration_split, model_inputs, spread_rows
from converter.golden import golden_rows
from converter.proof.parity import slices_of
from converter.sources.foreign import lay_model

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.process.jobs import ModelKind
    from converter.sources.candidate_folder import Source
    from fleet_contract.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Material:
    """The candidate and its rows. `raw_inputs` to `slices` are the held-out rows used.

    `golden` picks from them, and is empty until the float model's scores are known (`with_golden`).

    The paths are files in `folder`: the model, and preprocessed rows as NPY. Only `trials`, how the names of the
    search's records begin, lies elsewhere, where it outlives an interruption.
    """

    candidate: Candidate
    folder: Path
    model: Path
    kind: ModelKind
    calibration: Path
    selection: Path
    holdout: Path
    trials: Path
    calibration_rows: int
    selection_rows: int
    raw_inputs: NDArray[np.generic]
    model_inputs: NDArray[np.float32]
    labels: NDArray[np.int64] | None
    slices: dict[str, NDArray[np.bool_]]
    golden: NDArray[np.intp]


def lay_out(source: Source, folder: Path, *, trials: Path) -> Material:
    """Writes the files and returns what they are; `trials` is where the search keeps its record.

    Raises:
        DataError: preprocessing makes a value that is not finite.
    """
    candidate, samples = source.candidate, source.samples
    ranged, selected = calibration_split(len(samples.calibration))
    kept = spread_rows(len(samples.holdout), MAX_HOLDOUT_ROWS)
    calibration_B = model_inputs(candidate.preprocessing, samples.calibration, what="calibration inputs")
    inputs_B = model_inputs(candidate.preprocessing, samples.holdout[kept], what="held-out inputs")
    labels_B = None if samples.labels is None else samples.labels[kept]
    rows = {"calibration": calibration_B[ranged], "selection": calibration_B[selected], "holdout": inputs_B}
    paths = {name: folder / f"{name}.npy" for name in rows}
    for name, rows_B in rows.items():
        np.save(paths[name], rows_B)
    return Material(
        candidate=candidate,
        folder=folder,
        model=lay_model(source.model, folder / "model"),
        kind=source.kind,
        calibration=paths["calibration"],
        selection=paths["selection"],
        holdout=paths["holdout"],
        trials=trials,
        calibration_rows=len(ranged),
        selection_rows=len(selected),
        raw_inputs=samples.holdout[kept],
        model_inputs=inputs_B,
        labels=labels_B,
        slices=slices_of(labels_B, samples.slices[kept], candidate.labels),
        golden=np.array([], dtype=np.intp),
    )


def with_golden(material: Material, reference_BK: NDArray[np.float32]) -> Material:
    """The material with its golden rows chosen; `reference_BK` are the float model's scores of the held-out rows."""
    classes = bool(material.candidate.labels)
    rows = golden_rows(material.model_inputs, reference_BK, material.labels, material.slices, classes=classes)
    return replace(material, golden=rows)
