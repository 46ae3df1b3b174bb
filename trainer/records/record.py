"""What stays of a run: the candidate's lineage, and the run's parameters, metrics and artifacts in MLflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fleet_contract.candidate import CANDIDATE_FILE, MODEL_CARD_FILE, MODEL_FILE, Candidate
from fleet_contract.release import Lineage
from fleet_contract.tensors import DType, TensorSpec
from fleet_files.durable import new_folder, write_file
from trainer.data.schema import schema_sha256
from trainer.data.snapshot import snapshot_sha256
from trainer.data.split import calibration_rows
from trainer.records.candidate import CandidateFiles, CandidateResult, fill_candidate_folder
from trainer.records.lineage import git_revision, tool_versions
from trainer.records.model_card import model_card
from trainer.tuning.storage import hide_password

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from fleet_contract.release import Evaluation, Verdict
    from trainer.project import Project
    from trainer.records.tracking import TrackedRun
    from trainer.stages import Prepared
    from trainer.training.resources import Usage
    from trainer.training.train import Fit
    from trainer.training.train_stage import Trained

_STORAGE: Final = "tune.storage"


def describe_lineage(
    project: Project,
    prepared: Prepared,
    *,
    run_id: str,
    champion_version: int,
    retrain_request_id: str,
    learned_with: Mapping[str, str | float],
    data_override: str = "",
    usage: Usage | None = None,
) -> Lineage:
    """Where the candidate comes from."""
    train = project.settings.train
    return Lineage(
        data_snapshot_sha256=snapshot_sha256(prepared.data),
        data_source=prepared.data.source,
        schema_sha256=schema_sha256(prepared.schema),
        run_id=run_id,
        git_revision=git_revision(project.folder),
        seed=train.seed,
        hyperparameters={
            **learned_with,
            **project.settings.model.hyperparameters,
            "epochs": train.epochs,
            "batch_size": train.batch_size,
            "class_weight": train.class_weight.value,
        },
        tool_versions=tool_versions(),
        retrain_request_id=retrain_request_id,
        champion_version=champion_version,
        data_override=data_override or msgspec.UNSET,
        data_removed=prepared.removed.figures() or msgspec.UNSET,
        resources=usage.figures() if usage else msgspec.UNSET,
    )


def describe_candidate(
    project: Project, prepared: Prepared, *, evaluation: Evaluation, verdict: Verdict, lineage: Lineage, now: datetime
) -> Candidate:
    """The candidate but for the hashes of its files."""
    data = prepared.data
    return Candidate(
        model=project.name,
        created_at=now,
        inputs=(TensorSpec(name="input", dtype=prepared.schema.dtype, shape=data.sample_shape),),
        outputs=(TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(len(data.label_names),)),),
        labels=data.label_names,
        preprocessing=prepared.steps,
        features=data.features,
        images=data.images or msgspec.UNSET,
        files={},
        evaluation=evaluation,
        verdict=verdict,
        lineage=lineage,
        recipes=project.settings.convert.recipes,
        gates=project.settings.convert.gates,
        targets=project.settings.convert.targets,
        keep=project.settings.convert.keep,
    )


def keep_candidate(
    out: Path,
    project: Project,
    *,
    prepared: Prepared,
    trained: Trained,
    draft: Candidate,
    tracked: TrackedRun,
    beside: Mapping[str, bytes],
) -> CandidateResult:
    """Writes the candidate folder and the run's record; `out` appears only when both are whole.

    `beside` are files by name that the converter does not read: the evaluation for people and programs.
    """
    card = model_card(
        draft.model, labels=draft.labels, evaluation=draft.evaluation, verdict=draft.verdict, lineage=draft.lineage
    )
    files = CandidateFiles(
        model=trained.model,
        data=prepared.data,
        calibration_I=calibration_rows(prepared.parts.train_I, project.settings.data.split.seed),
        holdout_I=prepared.parts.test_I,
        card=card,
    )
    with new_folder(out) as building:
        candidate = fill_candidate_folder(building, files, draft)
        for name, content in beside.items():
            write_file(building / name, content)
        _record_run(tracked, project, candidate, trained.fit)
        for name in (CANDIDATE_FILE, MODEL_CARD_FILE, MODEL_FILE, *beside):
            tracked.keep(building / name)
        tracked.keep(project.schema_path)
    trained.forget()
    return CandidateResult(folder=out, candidate=candidate)


def _record_run(tracked: TrackedRun, project: Project, candidate: Candidate, fit: Fit) -> None:
    tracked.log_epochs(fit.epochs)
    evaluation, lineage = candidate.evaluation, candidate.lineage
    tracked.log(
        params=_without_password(_flat(msgspec.to_builtins(project.settings))),
        metrics={
            "test.accuracy": evaluation.overall.accuracy,
            "test.expected_calibration_error": evaluation.expected_calibration_error,
            "test.log_loss": evaluation.log_loss,
            "best_epoch": float(fit.best_epoch),
            **{f"slice.{part.name}.accuracy": part.accuracy for part in evaluation.slices},
            **{f"gate.{gate.gate}": gate.measured for gate in candidate.verdict.gates},
            **{f"usage.{name}": value for name, value in (lineage.resources or {}).items()},
        },
        tags={
            "verdict": "passed" if candidate.verdict.passed else "failed",
            "data_source": lineage.data_source,
            "data_snapshot_sha256": lineage.data_snapshot_sha256,
            "schema_sha256": lineage.schema_sha256,
            "git_revision": lineage.git_revision,
            "retrain_request_id": lineage.retrain_request_id,
            "champion_version": str(lineage.champion_version),
            "data_override": lineage.data_override or "",
            **{f"tool.{tool}": version for tool, version in lineage.tool_versions.items()},
        },
    )


def _without_password(params: dict[str, object]) -> dict[str, object]:
    return {**params, _STORAGE: hide_password(str(params[_STORAGE]))}


def _flat(settings: object, path: str = "") -> dict[str, object]:
    """Nested settings as `section.key: value`."""
    if not isinstance(settings, dict):
        return {path: settings}
    flat: dict[str, object] = {}
    for key, value in settings.items():
        flat |= _flat(value, f"{path}.{key}" if path else str(key))
    return flat
