"""Run metadata in MLflow: a local SQLite file in the project, or whatever `MLFLOW_TRACKING_URI` names.

MLflow takes two to three seconds to import, so this happens only here and only when a run starts. Its telemetry to
another host is switched off.
"""

from __future__ import annotations

import logging
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from fleet_contract.codec import UtcTime
from fleet_contract.errors import EdgeferryError, MissingExtraError, StorageError, UnreachableError
from trainer.lean_imports import leaving_out
from trainer.records.process_mark import is_gone, own_mark

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trainer.project import Project

MAX_LISTED_RUNS: Final = 1000
MAX_PARAM_CHARS: Final = 500
MAX_METRICS: Final = 1000
"""MLflow refuses more at once."""
_PROCESS: Final = "process"
_NOT_IN_A_KEY: Final = re.compile(r"[^A-Za-z0-9_\-. :/]")


class RunSummary(Struct, frozen=True, kw_only=True):
    """A line of `edgeferry runs`. `kind` is training, trial or search; `passed` is None while there is no verdict."""

    run_id: str
    name: str
    started_at: UtcTime
    status: str
    kind: str = "training"
    accuracy: float | None = None
    passed: bool | None = None
    data_source: str = ""
    data_snapshot_sha256: str = ""
    retrain_request_id: str = ""
    data_override: str = ""
    resources: dict[str, float] = {}


class RunRecord(Struct, frozen=True, kw_only=True):
    """All that is kept of one run; of a metric that was logged per epoch, the last."""

    run_id: str
    name: str
    started_at: UtcTime
    ended_at: UtcTime | None = None
    status: str
    params: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]


@dataclass(slots=True)
class TrackedRun:
    """An open run; `run_id` is what lineage names."""

    client: Any
    run_id: str

    def go_on(self, earlier_id: str) -> None:
        """Makes this the run of that id, whose process was killed, so that one training is one run.

        Nothing changes where the store does not know that run, or it is finished.
        """
        from mlflow.exceptions import MlflowException

        try:
            earlier = self.client.get_run(earlier_id).info
        except MlflowException:
            return
        if earlier_id == self.run_id or earlier.lifecycle_stage != "active" or earlier.status == "FINISHED":
            return
        self.client.update_run(earlier_id, status="RUNNING")
        self.client.delete_run(self.run_id)
        self.run_id = earlier_id
        self.log(tags={_PROCESS: own_mark(), "error": ""})

    def log(
        self,
        *,
        params: Mapping[str, object] | None = None,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Adds to the run's record; names are made fit for MLflow."""
        from mlflow.entities import Param, RunTag

        self.client.log_batch(
            self.run_id,
            metrics=_metrics(metrics or {}, step),
            params=[Param(_key(name), str(value)[:MAX_PARAM_CHARS]) for name, value in (params or {}).items()],
            tags=[RunTag(_key(name), value) for name, value in (tags or {}).items()],
        )

    def log_epochs(self, epochs: Sequence[Mapping[str, float]]) -> None:
        """Adds the figures of each epoch, the first of which is 1, in as few messages as MLflow takes."""
        metrics = [metric for number, figures in enumerate(epochs, start=1) for metric in _metrics(figures, number)]
        for start in range(0, len(metrics), MAX_METRICS):
            self.client.log_batch(self.run_id, metrics=metrics[start : start + MAX_METRICS])

    def keep(self, path: Path) -> None:
        """Stores a copy of the file as an artifact of the run."""
        self.client.log_artifact(self.run_id, str(path))


def _metrics(figures: Mapping[str, float], step: int) -> list[Any]:
    from mlflow.entities import Metric

    at_ms = int(datetime.now(UTC).timestamp() * 1000)
    return [Metric(_key(name), value, at_ms, step) for name, value in figures.items()]


def _key(name: str) -> str:
    return _NOT_IN_A_KEY.sub("_", name)


@contextmanager
def tracked_run(project: Project, *, name: str) -> Iterator[TrackedRun]:
    """A run that ends FINISHED with the block, FAILED with an error in it, KILLED when it is interrupted.

    Earlier runs whose processes are gone are marked KILLED.

    Raises:
        MissingExtraError: MLflow is not installed.
        StorageError: the local database cannot be written.
        UnreachableError: the tracking server does not answer.
    """
    with _translated(project):
        client = _client(project)
        experiment = _experiment(client, project)
        _end_gone(client, experiment)
        tags = {_PROCESS: own_mark()}
        run = TrackedRun(client, client.create_run(experiment, run_name=name, tags=tags).info.run_id)
        try:
            yield run
        except Exception as error:
            run.log(tags={"error": f"{type(error).__name__}: {error}"[:MAX_PARAM_CHARS]})
            client.set_terminated(run.run_id, "FAILED")
            raise
        except BaseException:
            client.set_terminated(run.run_id, "KILLED")
            raise
        client.set_terminated(run.run_id, "FINISHED")


def list_runs(project: Project, *, trainings_only: bool = False) -> list[RunSummary]:
    """The project's runs, newest first, at most 1000; empty before the first.

    A run whose process is gone is marked KILLED on the way.

    Raises:
        MissingExtraError: MLflow is not installed.
        StorageError: the local database cannot be read.
        UnreachableError: the tracking server does not answer.
    """
    if not _server_uri() and not _database(project).exists():
        return []
    with _translated(project):
        client = _client(project)
        experiment = client.get_experiment_by_name(project.name)
        if experiment is None:
            return []
        _end_gone(client, experiment.experiment_id)
        runs = (_summary(run) for run in _all_runs(client, experiment.experiment_id))
        wanted = (run for run in runs if run.kind == "training" or not trainings_only)
        return list(islice(wanted, MAX_LISTED_RUNS))


def _all_runs(client: Any, experiment: str, condition: str = "") -> Iterator[Any]:
    """Every run that meets the condition, newest first, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment], condition, max_results=MAX_LISTED_RUNS, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _end_gone(client: Any, experiment: str) -> None:
    """Marks runs as killed whose processes on this machine were, and could not say so."""
    for run in list(_all_runs(client, experiment, "attributes.status = 'RUNNING'")):
        if is_gone(run.data.tags.get(_PROCESS, "")):
            client.set_terminated(run.info.run_id, "KILLED")


def read_run(project: Project, run_id: str) -> RunRecord:
    """The whole record of a run.

    Raises:
        MissingExtraError, StorageError, UnreachableError: as `list_runs`; also when there is no such run.
    """
    with _translated(project):
        run = _client(project).get_run(run_id)
    ended_ms = run.info.end_time
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        started_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        ended_at=datetime.fromtimestamp(ended_ms / 1000, UTC) if ended_ms else None,
        status=run.info.status,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        tags=dict(run.data.tags),
    )


def store_uri(project: Project) -> str:
    """Where the project's runs are kept, as MLflow names stores."""
    return _server_uri() or f"sqlite:///{_database(project)}"


def _summary(run: Any) -> RunSummary:
    tags = run.data.tags
    return RunSummary(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        started_at=datetime.fromtimestamp(run.info.start_time / 1000, UTC),
        status=run.info.status,
        kind="trial" if "trial" in tags else "search" if "study" in tags else "training",
        accuracy=run.data.metrics.get("test.accuracy"),
        passed={"passed": True, "failed": False}.get(tags.get("verdict", "")),
        data_source=tags.get("data_source", ""),
        data_snapshot_sha256=tags.get("data_snapshot_sha256", ""),
        retrain_request_id=tags.get("retrain_request_id", ""),
        data_override=tags.get("data_override", ""),
        resources={
            name.removeprefix("usage."): value for name, value in run.data.metrics.items() if name.startswith("usage.")
        },
    )


def _server_uri() -> str:
    return os.environ.get("MLFLOW_TRACKING_URI", "")


def _database(project: Project) -> Path:
    return project.state_folder / "mlflow.db"


def _client(project: Project) -> Any:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    try:
        with leaving_out("pandas", "polars"):
            from mlflow.tracking import MlflowClient
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "mlflow") from error
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    if not _server_uri():
        project.state_folder.mkdir(parents=True, exist_ok=True)
    return MlflowClient(store_uri(project))


def _experiment(client: Any, project: Project) -> str:
    """The project's experiment; only a remote server knows better than we where artifacts go."""
    known = client.get_experiment_by_name(project.name)
    if known is not None:
        return str(known.experiment_id)
    remote = _server_uri().startswith(("http:", "https:"))
    location = None if remote else (project.state_folder / "artifacts").absolute().as_uri()
    return str(client.create_experiment(project.name, artifact_location=location))


@contextmanager
def _translated(project: Project) -> Iterator[None]:
    """MLflow's own errors as ours; every other one passes unchanged."""
    try:
        yield
    except EdgeferryError:
        raise
    except Exception as error:
        if not type(error).__module__.startswith(("mlflow.", "sqlalchemy.")):
            raise
        if _server_uri():
            raise UnreachableError(f"MLflow at {_server_uri()}: {error}", hint="see MLFLOW_TRACKING_URI") from error
        raise StorageError(f"{_database(project)}: {error}") from error
