"""A project with a candidate, an evaluation and a bundle as a training and a conversion leave them, without either."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import json, structs

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import encode
from fleet_contract.release import Evaluation, GateResult, Lineage, SliceEvaluation, Verdict
from tests.fakes.contract_documents import NOON, manifest
from tests.fakes.trainer_projects import make_dataset, write_test_project
from trainer.data.schema import infer_schema, schema_sha256, write_schema
from trainer.pages.evaluation import EVALUATION_JSON, EvaluationRecord
from trainer.project import load_project
from trainer.tuning.importance import PartImportance

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.release import ReleaseManifest
    from trainer.project import Project

SETTINGS = """min_slice_accuracy = 0.4
max_slice_gap = 0.5
min_gain_over_simple_model = 0.0
[data.policy]
sources = ["npz:*"]
[convert.gates]
max_latency_p50_ms = 50.0
max_ram_mb = 400.0
"""
GATES = (
    GateResult(gate="finite-scores", passed=True, measured=0.0, threshold=0.0),
    GateResult(gate="min-gain-over-baseline", passed=True, measured=0.6, threshold=0.1),
    GateResult(gate="min-gain-over-simple-model", passed=True, measured=0.1, threshold=0.0),
    GateResult(gate="worst-slice", passed=True, measured=0.8, threshold=0.4),
    GateResult(gate="max-slice-gap", passed=True, measured=0.1, threshold=0.5),
    GateResult(gate="invariance noise", passed=True, measured=0.0, threshold=0.1),
)
EVALUATION = Evaluation(overall=SliceEvaluation(name="all", sample_count=100, accuracy=0.9, low=0.8, high=0.95))


def write_scored_project(folder: Path) -> Project:
    """The project as it is after a training and a conversion, with every setting that counts."""
    write_test_project(folder)
    settings = folder / "edgeferry.toml"
    settings.write_text(settings.read_text() + SETTINGS)
    project = load_project(folder)
    schema = infer_schema(make_dataset())
    write_schema(project.schema_path, schema)
    (folder / "snapshot.json").write_text("{}")
    lineage = Lineage(
        data_snapshot_sha256="1" * 64, data_source="npz:data.npz", schema_sha256=schema_sha256(schema), run_id="run-1"
    )
    write_candidate(folder / "candidates" / "a", lineage)
    release = manifest(model="rows", evaluation=EVALUATION, lineage=lineage, verdict=Verdict(passed=True, gates=GATES))
    write_release(folder / "release", release, float_accuracy=0.9)
    return project


def write_candidate(folder: Path, lineage: Lineage, *, gates: tuple[GateResult, ...] = GATES) -> None:
    """A candidate's documents, without its model."""
    folder.mkdir(parents=True)
    verdict = Verdict(passed=all(gate.passed for gate in gates), gates=gates)
    base = manifest()
    candidate = Candidate(
        model="rows",
        created_at=NOON,
        inputs=base.inputs,
        outputs=base.outputs,
        labels=base.labels,
        files={},
        evaluation=EVALUATION,
        verdict=verdict,
        lineage=lineage,
        recipes=("tflite-f32",),
    )
    record = EvaluationRecord(
        model="rows",
        created_at=NOON,
        labels=base.labels,
        evaluation=EVALUATION,
        verdict=verdict,
        confusion=((1,),),
        reliability=(),
        importances=(PartImportance(part="feature 0", accuracy_drop=0.2),),
    )
    (folder / CANDIDATE_FILE).write_bytes(encode(candidate))
    (folder / EVALUATION_JSON).write_bytes(encode(record))


def write_release(folder: Path, release: ReleaseManifest, *, float_accuracy: float) -> None:
    """A bundle's documents, without its blobs."""
    folder.mkdir()
    (folder / "release.json").write_bytes(encode(structs.replace(release, model="rows")))
    (folder / "report.json").write_bytes(json.encode({"float_accuracy": float_accuracy}))
