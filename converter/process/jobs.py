"""What the tool and its child processes tell each other: a job in, results out, as files in one folder.

    job.json               one of the jobs below
    failure.json           why the child refused the job, when it did so on purpose
    <recipe>.result.json   one per recipe that a BuildJob finished, well or not
    proof.json             the result of a ProveJob
    latencies.json         the result of a CompareJob
    described.json         the result of a DescribeJob
    inspection.json        the result of an InspectJob
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
INSPECTION_FILE: Final = "inspection.json"
REFERENCE_FILE: Final = "reference.npy"
SCORES_FILE: Final = "scores.npy"
LATENCIES_FILE: Final = "latencies.json"
DESCRIBED_FILE: Final = "described.json"
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
    third go to REFERENCE_FILE. `min_top1_agreement`, `min_sqnr_db` and `max_size_bytes` (0: any) are the search's goal,
    `search_s` its time for one recipe, `trials` the file in which it keeps its trials, so that it can go on after an
    interruption.
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
    max_size_bytes: int = 0
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

    `timed_runs` single inferences are timed; 0 times none. `package` is the runtime package to use; empty: whichever of
    the family is installed.
    """

    runtime: Runtime
    artifact: str
    inputs: str
    timed_runs: int
    package: str = ""


class Proof(Struct, frozen=True, kw_only=True):
    """What running an artifact showed; the scores are in SCORES_FILE.

    `rss_mb` and `peak_rss_mb` are of a process that holds the runtime, the model and little else.
    """

    input: TensorSpec
    output: TensorSpec
    runtime_version: str
    runtime_package: str = ""
    latency_p50_ms: float
    latency_p95_ms: float
    rss_mb: float
    peak_rss_mb: float


class Contender(Struct, frozen=True, kw_only=True):
    """An artifact that is timed against others."""

    runtime: Runtime
    artifact: str


class CompareJob(Struct, frozen=True, kw_only=True, tag="compare"):
    """Time single inferences of several artifacts in one process, block by block in turn, for `duration_s` in all.

    `inputs` is an NPY file of preprocessed rows that all of them eat.
    """

    contenders: dict[str, Contender]
    inputs: str
    duration_s: float


class Latencies(Struct, frozen=True, kw_only=True):
    """The median latency of each contender in milliseconds; one thread, batch 1."""

    p50_ms: dict[str, float]


class DescribeJob(Struct, frozen=True, kw_only=True, tag="describe"):
    """Import a runtime package and say what the environment is made of."""

    package: str


class Described(Struct, frozen=True, kw_only=True):
    """Versions of what a child found itself in."""

    runtime_version: str
    python_version: str
    numpy_version: str


class InspectJob(Struct, frozen=True, kw_only=True, tag="inspect"):
    """Open a model that nobody knows yet and tell its edges; with `inputs`, an NPY file, also score those rows."""

    model: str
    kind: ModelKind
    inputs: str = ""


class Edge(Struct, frozen=True, kw_only=True):
    """An input or output as the model has it: batch first, None for a size that is open."""

    name: str
    dtype: str
    shape: tuple[int | None, ...]


class Inspection(Struct, frozen=True, kw_only=True):
    """What opening a model showed; scores, where asked for, are in SCORES_FILE."""

    input: Edge
    output: Edge


class Failure(Struct, frozen=True, kw_only=True):
    """An error of ours on its way out of the child; `family` is the name of its class."""

    family: str
    message: str
    hint: str = ""


Job = BuildJob | ProveJob | CompareJob | DescribeJob | InspectJob
