"""What the tool and its child processes tell each other: a job in, results out, as files in one folder.

    job.json               one of the jobs below
    failure.json           why the child refused the job, when it did so on purpose
    <recipe>.result.json   one per recipe that a BuildJob finished, well or not
    proof.json             the result of a ProveJob
Arrays travel as `.npy` files beside them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from msgspec import Struct

from fleet_contract.device_profile import Runtime
from fleet_contract.tensors import TensorSpec

JOB_FILE: Final = "job.json"
FAILURE_FILE: Final = "failure.json"
PROOF_FILE: Final = "proof.json"
REFERENCE_FILE: Final = "reference.npy"
SCORES_FILE: Final = "scores.npy"
REFUSED: Final = 3
"""Exit code of a child that refused its job on purpose."""


class ModelKind(StrEnum):
    """What a model comes as."""

    KERAS = "keras"
    """A `.keras` or `.h5` file, of Keras 3 or Keras 2."""
    SAVED_MODEL = "saved-model"
    TFLITE = "tflite"
    ONNX = "onnx"


class BuildJob(Struct, frozen=True, kw_only=True, tag="build"):
    """Convert a model. `calibration`, `selection` and `holdout` are NPY files of preprocessed inputs.

    Ranges are calibrated on the first; the search chooses on the second; with `reference` the float scores of the
    third go to REFERENCE_FILE. `min_top1_agreement` and `min_sqnr_db` are the search's goal, `search_s` its time for
    one recipe, `trials` the file in which it keeps its trials, so that it can go on after an interruption.
    """

    model: str
    kind: ModelKind = ModelKind.KERAS
    input: TensorSpec
    output: TensorSpec
    recipes: tuple[str, ...]
    calibration: str
    selection: str
    holdout: str
    reference: bool
    min_top1_agreement: float = 0.0
    min_sqnr_db: float = 0.0
    search_s: float = 60.0
    trials: str


class Built(Struct, frozen=True, kw_only=True):
    """One recipe's outcome. `error` empty: `artifact` is the file, in the child's folder."""

    recipe: str
    artifact: str = ""
    resolved: str = ""
    """The recipe with what the search found: `tflite-int8-mse-bias` for `tflite-int8`."""
    float_layers: tuple[str, ...] = ()
    int4_layers: tuple[str, ...] = ()
    search_complete: bool = True
    duration_s: float = 0.0
    error: str = ""


class ProveJob(Struct, frozen=True, kw_only=True, tag="prove"):
    """Run an artifact in its real runtime on the NPY file `inputs` (real values, preprocessed).

    `timed_runs` single inferences are timed; 0 times none.
    """

    runtime: Runtime
    artifact: str
    inputs: str
    timed_runs: int


class Proof(Struct, frozen=True, kw_only=True):
    """What running an artifact showed; the scores are in SCORES_FILE.

    `rss_mb` and `peak_rss_mb` are of a process that holds the runtime, the model and little else.
    """

    input: TensorSpec
    output: TensorSpec
    runtime_version: str
    latency_p50_ms: float
    latency_p95_ms: float
    rss_mb: float
    peak_rss_mb: float


class Failure(Struct, frozen=True, kw_only=True):
    """An error of ours on its way out of the child; `family` is the name of its class."""

    family: str
    message: str
    hint: str = ""


Job = BuildJob | ProveJob
