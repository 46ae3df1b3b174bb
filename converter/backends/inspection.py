"""An inspect job: open a model that nobody knows yet, tell its edges, score rows. Runs in a child process."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converter.backends.forms import float_scores, open_model
from converter.process.jobs import INSPECTION_FILE, SCORES_FILE, Inspection, InspectJob
from converter.sources.shapes import check_rows
from fleet_contract.codec import encode
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from numpy.typing import NDArray


def inspect(job: InspectJob, folder: Path) -> None:
    """Does `job`; the results are files in `folder`.

    Raises:
        ModelError: the model cannot be opened or run, or has edges that edgeferry cannot carry.
        DataError: the rows have another shape than the model's input.
    """
    model = open_model(job.kind, Path(job.model))
    if job.inputs:
        inputs_B: NDArray[np.float32] = np.load(job.inputs)
        check_rows(model.input, inputs_B.shape)
        np.save(folder / SCORES_FILE, float_scores(model, inputs_B))
    write_file(folder / INSPECTION_FILE, encode(Inspection(input=model.input, output=model.output)))
