"""The pipeline, as the list of its stages: ingest, verify, split, train, evaluate, validate, keep.

    result = run(load_project(folder), out=folder / "candidates" / "first", now=datetime.now(UTC), progress=Silent())

Nothing trains on data that fail their schema; nothing is left behind at `out` unless the run got to its end; a verdict
that says no is kept like one that says yes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import ConfigError
from fleet_files.durable import require_free
from trainer.judging.user_tests import check_behaviour_tests
from trainer.pages.data_html import data_files
from trainer.pages.evaluation import evaluation_files, evaluation_record
from trainer.records.record import describe_candidate, describe_lineage, keep_candidate
from trainer.records.tracking import tracked_run
from trainer.sources.pinned import PinnedSource
from trainer.stages import decide, ingest, judge, split_and_fit, verify
from trainer.training.resources import Meter
from trainer.training.train_stage import train

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from trainer.data.dataset import FleetSamples
    from trainer.judging.validate import Champion
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.records.candidate import CandidateResult
    from trainer.stages import Prepared, Verified


def run(
    project: Project,
    *,
    out: Path,
    now: datetime,
    progress: Progress,
    champion: Champion | None = None,
    extra: FleetSamples | None = None,
    retrain_request_id: str = "",
    accept_data: str = "",
    frozen: bool = False,
    fresh: bool = False,
) -> CandidateResult:
    """Makes a candidate at `out`, a folder that must not exist yet (or be empty).

    The candidate is written whatever the verdict; look at `.candidate.verdict`. `accept_data` says who takes data that
    fail their schema all the same, and why; it goes into the lineage together with what was wrong with them. `frozen`
    refuses a source that is not the pinned snapshot; `fresh` begins anew where an interrupted run would go on.

    Raises:
        ConfigError: a setting or the reviewed schema is unreadable.
        ConflictError: `out` is taken.
        DataError: data are missing, corrupt or fail their schema.
        ModelError: the user's model does not build, train or save.
        StorageError: a disk is full or cannot be written.
        UnreachableError: the tracking server does not answer.
    """
    require_free(out)
    meter = Meter()
    check_behaviour_tests(project.settings.validate, project.folder)
    verified, prepared = _prepare(project, extra, progress, accept=accept_data, frozen=frozen)
    progress.stage("train")
    with tracked_run(project, name=f"{project.name} {now:%Y-%m-%d %H:%M:%S}") as tracked:
        trained = train(project, prepared, progress, fresh=fresh, tracked=tracked)
        progress.stage("evaluate")
        judged = judge(project, prepared, trained)
        progress.stage("validate")
        verdict = decide(project, prepared, judged, champion)
        progress.stage("keep")
        lineage = describe_lineage(
            project,
            prepared,
            run_id=tracked.run_id,
            champion_version=champion.version if champion else 0,
            learned_with=trained.learned_with,
            retrain_request_id=retrain_request_id,
            data_override=verified.override,
            usage=meter.read(),
        )
        draft = describe_candidate(
            project, prepared, evaluation=judged.evaluation, verdict=verdict, lineage=lineage, now=now
        )
        record = evaluation_record(project.name, judged, verdict, now)
        return keep_candidate(
            out,
            project,
            prepared=prepared,
            trained=trained,
            draft=draft,
            tracked=tracked,
            beside={**evaluation_files(record), **data_files(project, prepared, verified)},
        )


def _prepare(
    project: Project, extra: FleetSamples | None, progress: Progress, *, accept: str, frozen: bool
) -> tuple[Verified, Prepared]:
    """The stages up to training; the pin is kept once the data have been verified."""
    progress.stage("ingest")
    source = PinnedSource(project, frozen=frozen)
    data = ingest(project, extra, progress, source)
    progress.stage("verify")
    verified = verify(project, data, progress, accept=accept)
    source.keep(progress)
    progress.stage("split")
    return verified, split_and_fit(project, data, verified.schema, progress)


def assist(project: Project, progress: Progress) -> None:
    """A worker's part of a training that another process leads: the same data and epochs; writes nothing.

    Raises:
        ConfigError: there is no reviewed schema, which all workers need to agree on.
        ModelError: the user's model does not build or train, or another worker went away.
    """
    if not project.schema_path.exists():
        raise ConfigError(
            f"{project.schema_path}: got none, expected the reviewed schema that all workers share",
            hint="write it on one machine first, by `edgeferry data schema` or a training alone",
        )
    progress.stage("ingest")
    data = ingest(project, None, progress)
    progress.stage("verify")
    verified = verify(project, data, progress)
    progress.stage("split")
    prepared = split_and_fit(project, data, verified.schema, progress)
    progress.stage("train")
    train(project, prepared, progress)
    progress.remark("this worker's part is done; the chief evaluates and keeps the candidate")
