"""Scores of a released variant on raw inputs: preprocess, quantize, run, dequantize, as a device would.

scores_BK = score(manifest, "tflite-int8", bundle.blob(manifest.variant("tflite-int8").blob), raw_inputs_B)
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from converter.calibration import model_inputs
from converter.process.jobs import SCORES_FILE, ProveJob
from converter.process.sandbox import Limits, run_job
from fleet_contract.tensors import check_batch

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from fleet_contract.release import ReleaseManifest


def score(
    manifest: ReleaseManifest,
    variant_id: str,
    blob_path: Path,
    raw_inputs_B: NDArray[np.generic],
    *,
    limits: Limits | None = None,
) -> NDArray[np.float32]:
    """The variant's scores, shape (B, K), from a child process that runs it on one thread.

    Raises:
        ContractError: there is no such variant, or the inputs have another shape than the release's.
        DataError: an input is not finite after preprocessing.
        ModelError: the runtime cannot load or run the blob.
    """
    variant = manifest.variant(variant_id)
    check_batch(raw_inputs_B, manifest.inputs[0])
    inputs_B = model_inputs(manifest.preprocessing, raw_inputs_B, what=f"inputs of {manifest.model}")
    with TemporaryDirectory(prefix="edgeferry-score-") as scratch:
        inputs = Path(scratch) / "inputs.npy"
        np.save(inputs, inputs_B)
        job = ProveJob(runtime=variant.runtime, artifact=str(blob_path.resolve()), inputs=str(inputs), timed_runs=0)
        folder = Path(scratch) / "run"
        run_job(job, folder, what=f"variant {variant_id}", limits=limits or Limits(), single_thread=True)
        scores_BK: NDArray[np.float32] = np.load(folder / SCORES_FILE)
    return scores_BK
