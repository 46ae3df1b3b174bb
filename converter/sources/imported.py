"""What an imported model becomes before it is converted: its evaluation, its candidate and its card. Pure.

Legend: B rows, K outputs.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Final

import numpy as np

from converter.process.jobs import ModelKind
from converter.proof.intervals import share_interval
from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError, DataError
from fleet_contract.release import Evaluation, GateResult, Lineage, SliceEvaluation, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from fleet_contract.candidate import Candidate
    from fleet_contract.tensors import TensorSpec

INPUT_NAME: Final = "input"
SCORES_NAME: Final = "scores"
NUMBERS_NAME: Final = "output"
_RECIPES: Final = ("tflite-f32", "tflite-int8", "onnx-f32", "onnx-int8")
_SUM_TOLERANCE: Final = 1e-3


def recipes_for_kind(kind: ModelKind) -> tuple[str, ...]:
    """What an imported model of that kind is converted to unless somebody asks for other recipes."""
    return tuple(name for name in _RECIPES if kind is not ModelKind.ONNX or name.startswith("onnx-"))


def name_from(text: str) -> str:
    """`text` as a model's name: lower case, with `-` for what a name may not have.

    Raises:
        ConfigError: nothing is left.
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
    if not name:
        raise ConfigError(f"name: got {text!r}, of which no letter or digit is left", hint="give one with --name")
    return name


def class_names(asked: Sequence[str], labels: NDArray[np.generic] | None, output_count: int) -> tuple[str, ...]:
    """The names of the outputs: those asked for, or numbers where labels are indices, or none at all.

    Raises:
        ConfigError: there are not as many as outputs, or two are the same.
        DataError: the labels are names, whose order nobody knows.
    """
    if asked:
        _check_names(asked, output_count)
        return tuple(asked)
    if labels is None:
        return ()
    if labels.dtype.kind == "U":
        raise DataError(
            "samples: labels are names, and nobody says to which output each belongs",
            hint="give the names in the order of the outputs: --labels a,b,c",
        )
    return tuple(str(index) for index in range(output_count))


def evaluate(
    scores_BK: NDArray[np.float32], labels_B: NDArray[np.int64] | None, slices_B: NDArray[np.str_]
) -> Evaluation:
    """The float model on the held-out rows; calibration only where the scores are probabilities."""
    if labels_B is None:
        nothing = SliceEvaluation(name="all", sample_count=0, accuracy=0.0, low=0.0, high=1.0)
        return Evaluation(overall=nothing, labelled=False)
    right_B = scores_BK.argmax(axis=1) == labels_B
    named = sorted(set(slices_B.tolist()) - {""})
    return Evaluation(
        overall=_slice("all", right_B),
        slices=tuple(_slice(name, right_B[slices_B == name]) for name in named),
        log_loss=_log_loss(scores_BK, labels_B) if are_probabilities(scores_BK) else 0.0,
    )


def are_probabilities(scores_BK: NDArray[np.float32]) -> bool:
    """Whether every row is of numbers from 0 to 1 that sum to 1."""
    inside = bool((scores_BK >= -_SUM_TOLERANCE).all() and (scores_BK <= 1.0 + _SUM_TOLERANCE).all())
    return inside and bool((np.abs(scores_BK.sum(axis=1) - 1.0) <= _SUM_TOLERANCE).all())


def verdict(held_out_rows: int) -> Verdict:
    """What was verified: nobody but the float model itself ran, so nothing about its worth was."""
    gate = GateResult(
        gate="float-model-runs",
        passed=True,
        measured=float(held_out_rows),
        threshold=1.0,
        detail="imported: finite outputs for every held-out row; no gate looked at its worth",
    )
    return Verdict(passed=True, gates=(gate,))


def lineage(
    *,
    model_sha256: str,
    model_file: str,
    samples_sha256: str,
    samples_file: str,
    edges: Sequence[TensorSpec],
    seed: int,
) -> Lineage:
    """Where an imported release comes from: two files, by their hashes."""
    return Lineage(
        data_snapshot_sha256=samples_sha256,
        data_source=f"import:{samples_file}",
        schema_sha256=hashlib.sha256(b"".join(encode(spec) for spec in edges)).hexdigest(),
        run_id=f"import-{model_sha256[:16]}",
        seed=seed,
        hyperparameters={"import.model": model_file, "import.model_sha256": model_sha256},
    )


def card(candidate: Candidate, kind: ModelKind) -> bytes:
    """The model card in Hugging Face README form; the same import gives the same bytes."""
    origin = candidate.lineage
    lines = [
        *_front_matter(candidate),
        f"# {candidate.model}",
        "",
        f"Imported from {origin.hyperparameters['import.model']} ({kind}), which was trained elsewhere.",
        _purpose(candidate.labels),
        "",
        "## Evaluation",
        "",
        _measured(candidate.evaluation),
        "",
        "## Lineage",
        "",
        f"- model: SHA-256 {origin.hyperparameters['import.model_sha256']}",
        f"- samples: {origin.data_source}, SHA-256 {origin.data_snapshot_sha256}",
        f"- split: seed {origin.seed}",
        "",
    ]
    return "\n".join(lines).encode()


def _front_matter(candidate: Candidate) -> list[str]:
    """Strings are quoted as JSON, which YAML reads. What was not measured is not named."""
    if not candidate.evaluation.labelled:
        return ["---", "tags: [edge, imported]", "---", ""]
    result = {
        "task": {"type": "classification"},
        "dataset": {
            "name": candidate.lineage.data_source,
            "type": "custom",
            "revision": candidate.lineage.data_snapshot_sha256,
        },
        "metrics": [{"type": "accuracy", "value": round(candidate.evaluation.overall.accuracy, 6)}],
    }
    index = json.dumps([{"name": candidate.model, "results": [result]}])
    return ["---", "tags: [edge, imported]", f"model-index: {index}", "---", ""]


def _purpose(labels: tuple[str, ...]) -> str:
    if not labels:
        return "Its outputs are numbers, not class scores."
    return f"A classifier of {len(labels)} classes: {', '.join(labels)}."


def _measured(evaluation: Evaluation) -> str:
    overall = evaluation.overall
    if not evaluation.labelled:
        return "Accuracy is not known: the samples had no labels. Variants were measured against the float model only."
    return (
        f"Accuracy {overall.accuracy:.4f} on {overall.sample_count} held-out rows"
        f" (95 % interval {overall.low:.4f} to {overall.high:.4f})."
    )


def _check_names(names: Sequence[str], output_count: int) -> None:
    if len(names) != output_count:
        raise ConfigError(f"labels: got {len(names)} names, expected {output_count}, one for each output of the model")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"labels: got {', '.join(map(repr, twice))} more than once, expected names that differ")


def _slice(name: str, right_B: NDArray[np.bool_]) -> SliceEvaluation:
    low, high = share_interval(int(right_B.sum()), len(right_B))
    return SliceEvaluation(name=name, sample_count=len(right_B), accuracy=float(right_B.mean()), low=low, high=high)


def _log_loss(scores_BK: NDArray[np.float32], labels_B: NDArray[np.int64]) -> float:
    chosen_B = np.take_along_axis(scores_BK, labels_B[:, None], axis=1)[:, 0]
    return float(-np.log(np.clip(chosen_B.astype(np.float64), 1e-7, 1.0)).mean())
