"""`edgeferry import`: a model that somebody else made, wrapped as a release by the same conversion as a candidate.

The model's files are read here as bytes; only child processes with limits ever open them.
Legend: B rows, K outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from converter.bundle import check_target
from converter.calibration import model_inputs
from converter.pipeline import convert_source
from converter.process.jobs import INSPECTION_FILE, SCORES_FILE, Inspection, InspectJob
from converter.process.sandbox import Limits, run_job
from converter.sources import imported
from converter.sources.candidate_folder import Samples, Source, class_indices
from converter.sources.foreign import ForeignModel, lay_model, read_foreign
from converter.sources.samples_file import read_samples, split_rows
from fleet_contract.candidate import Candidate
from fleet_contract.codec import decode
from fleet_contract.names import parse_name
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from converter.bundle import Bundle
    from converter.environments.known import Environment
    from converter.sources.samples_file import SampleRows, Split
    from converter.stopwatch import Stopwatch


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import. `name` empty: after the model's file. `label_names` empty: as `imported.class_names` says."""

    model: Path
    samples: Path
    now: datetime
    name: str = ""
    label_names: tuple[str, ...] = ()
    seed: int = 0


def import_model(
    request: ImportRequest,
    out: Path,
    *,
    watch: Stopwatch,
    recipes: tuple[str, ...] | None = None,
    targets: tuple[str, ...] = (),
    limits: Limits | None = None,
    environments: Sequence[Environment] = (),
) -> Bundle:
    """The bundle at `out`, with every variant of a foreign model that passed its gates.

    Raises:
        NotFoundError: the model or the samples are not there.
        DataError: the samples are too few, of another shape than the model takes, or not finite.
        ModelError: the model is damaged, of a form that cannot be carried, or makes its runtime crash.
        ConfigError: a recipe, a target, the name or the label names are wrong.
        ConflictError: `out` is something other than a bundle.
        GateError: no variant passed its gates.
    """
    watch.stage("inspect model")
    check_target(out)
    source = load_foreign(request, watch=watch, limits=limits or Limits())
    return convert_source(
        source, out, watch=watch, recipes=recipes, targets=targets, limits=limits, environments=environments
    )


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a foreign model once it ran on the held-out rows."""

    foreign: ForeignModel
    samples_sha256: str
    samples: Samples
    inspection: Inspection
    scores: NDArray[np.float32]
    names: tuple[str, ...]


def load_foreign(request: ImportRequest, *, watch: Stopwatch, limits: Limits) -> Source:
    """The model and its samples as a source for the conversion; the float model has run on every held-out row.

    Raises:
        NotFoundError, DataError, ModelError, ConfigError: as in `import_model`.
    """
    foreign = read_foreign(request.model)
    rows = read_samples(request.samples)
    split = split_rows(len(rows.inputs), request.seed)
    inspection, scores_BK = _inspect(foreign, rows.inputs[split.holdout], limits)
    names = imported.class_names(request.label_names, rows.labels, scores_BK.shape[1])
    samples = _samples(rows, split, names)
    for remark in _remarks(names, samples, scores_BK):
        watch.remark(remark)
    return _source(request, _Known(foreign, rows.sha256, samples, inspection, scores_BK, names))


def _inspect(
    foreign: ForeignModel, raw_B: NDArray[np.generic], limits: Limits
) -> tuple[Inspection, NDArray[np.float32]]:
    """The model's edges and its float scores of the held-out rows, from a child process."""
    with TemporaryDirectory(prefix="edgeferry-import-") as scratch:
        folder = Path(scratch) / "inspect"
        inputs = Path(scratch) / "inputs.npy"
        np.save(inputs, model_inputs((), raw_B, what="samples"))
        model = lay_model(foreign.files, Path(scratch) / "model")
        job = InspectJob(model=str(model), kind=foreign.kind, inputs=str(inputs))
        run_job(job, folder, what=f"{foreign.name} ({foreign.kind})", limits=limits)
        inspection = decode((folder / INSPECTION_FILE).read_bytes(), Inspection)
        scores_BK: NDArray[np.float32] = np.load(folder / SCORES_FILE)
    return inspection, scores_BK


def _samples(rows: SampleRows, split: Split, names: tuple[str, ...]) -> Samples:
    """The rows on both sides of the split; all labels are checked, also those that are not used."""
    count = len(rows.inputs)
    labels_B = None if rows.labels is None else class_indices(rows.labels, names, count, "samples: labels")
    slices_B = np.full(count, "", np.str_) if rows.slices is None else rows.slices
    return Samples(
        calibration=rows.inputs[split.calibration],
        holdout=rows.inputs[split.holdout],
        labels=None if labels_B is None else labels_B[split.holdout],
        slices=slices_B[split.holdout],
    )


def _remarks(names: tuple[str, ...], samples: Samples, scores_BK: NDArray[np.float32]) -> list[str]:
    """What a person should know of this import."""
    remarks = []
    if not names:
        remarks.append("no --labels: outputs are taken as numbers, not as class scores; only the error is judged")
    elif samples.labels is None:
        remarks.append("the samples have no labels: accuracy cannot be measured, only agreement with the float model")
    if names and not imported.are_probabilities(scores_BK):
        remarks.append(
            "the outputs are no probabilities: what devices report of confidence and entropy will say little"
        )
    if samples.holdout.dtype.name != DType.FLOAT32:
        remarks.append(f"callers will send {samples.holdout.dtype}, as the samples have it; it is cast to float32")
    return remarks


def _source(request: ImportRequest, known: _Known) -> Source:
    foreign, samples = known.foreign, known.samples
    inputs, outputs = _specs(known)
    evaluation = imported.evaluate(known.scores, samples.labels, samples.slices)
    origin = imported.lineage(
        model_sha256=foreign.sha256,
        model_file=request.model.name,
        samples_sha256=known.samples_sha256,
        samples_file=request.samples.name,
        edges=(inputs, outputs),
        seed=request.seed,
    )
    name = parse_name(request.name, "name") if request.name else imported.name_from(foreign.name)
    candidate = Candidate(
        model=name,
        created_at=request.now,
        inputs=(inputs,),
        outputs=(outputs,),
        labels=known.names,
        files={},
        evaluation=evaluation,
        verdict=imported.verdict(len(known.scores)),
        lineage=origin,
        recipes=imported.recipes_for_kind(foreign.kind),
    )
    card = imported.card(candidate, foreign.kind)
    return Source(candidate=candidate, model=foreign.files, model_card=card, samples=samples, kind=foreign.kind)


def _specs(known: _Known) -> tuple[TensorSpec, TensorSpec]:
    """The release's own input and output: raw as the samples are, float outputs."""
    shape = tuple(size for size in known.inspection.input.shape[1:] if size is not None)
    raw = TensorSpec(name=imported.INPUT_NAME, dtype=DType(known.samples.holdout.dtype.name), shape=shape)
    output_name = imported.SCORES_NAME if known.names else imported.NUMBERS_NAME
    return raw, TensorSpec(name=output_name, dtype=DType.FLOAT32, shape=known.scores.shape[1:])
