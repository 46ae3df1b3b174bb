"""Studies in Optuna: opened or gone on with, in SQLite or any database that SQLAlchemy knows.

Rules: a study is named after what it asks (the space, the objective, the data, the model's code), so that a search goes
on with the trials of the same question and of no other. Errors of the database are translated here.
"""

from __future__ import annotations

import hashlib
import logging
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError, EdgeferryError, MissingExtraError, UnreachableError
from fleet_files.durable import make_folder
from trainer.tuning.settings import Scalar

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from trainer.project import Project

HEARTBEAT_S: Final = 60
LOCK_WAIT_S: Final = 60
STARTUP_TRIALS: Final = 4
NAME_DIGEST_CHARS: Final = 12


class TrialView(Struct, frozen=True, kw_only=True):
    """One trial; `value` is the objective at its best epoch, None unless it completed."""

    number: int
    state: str
    value: float | None
    parameters: dict[str, Scalar]
    epochs: int


class StudyView(Struct, frozen=True, kw_only=True):
    """A study as it stands; `importances` add up to 1 and are empty while there are too few trials."""

    name: str
    objective: str
    storage: str
    trials: tuple[TrialView, ...]
    best: TrialView | None
    importances: dict[str, float]

    @property
    def finished(self) -> int:
        """Trials that completed or were pruned."""
        return sum(trial.state in {"complete", "pruned"} for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Study:
    """An open study of Optuna's and where it is kept."""

    optuna: Any
    handle: Any
    objective: str
    storage_url: str

    @property
    def name(self) -> str:
        """The study's name in its database."""
        return str(self.handle.study_name)

    def view(self) -> StudyView:
        """All trials as they stand.

        Raises:
            UnreachableError: the database does not answer.
        """
        with _translated(self.storage_url):
            trials = tuple(_trial_view(trial) for trial in self.handle.get_trials(deepcopy=False))
        complete = [trial for trial in trials if trial.state == "complete" and trial.value is not None]
        sign = 1.0 if self.objective == "val_loss" else -1.0
        best = min(complete, key=lambda trial: sign * (trial.value or 0.0), default=None)
        return StudyView(
            name=self.name,
            objective=self.objective,
            storage=hide_password(self.storage_url),
            trials=trials,
            best=best,
            importances=self._importances(len(complete)),
        )

    def _importances(self, complete: int) -> dict[str, float]:
        """Empty where Optuna cannot tell: two trials, or values that are all equal."""
        if complete < STARTUP_TRIALS:
            return {}
        with _quiet(self.optuna):
            try:
                found = self.optuna.importance.get_param_importances(self.handle)
            except (RuntimeError, ValueError):
                return {}
        return {str(name): float(share) for name, share in found.items() if math.isfinite(share)}


def open_study(project: Project, *, worker: int = 0) -> Study:
    """The study of the project's question, made where it does not exist yet.

    Raises:
        ConfigError: the storage's URL is none.
        MissingExtraError: Optuna or the database's driver is not installed.
        UnreachableError: the database does not answer.
    """
    optuna = _import_optuna()
    settings = project.settings.tune
    url = settings.storage or f"sqlite:///{make_folder(project.state_folder) / 'tune.db'}"
    with _translated(url), _quiet(optuna):
        storage = _open_storage(optuna, url)
        handle = optuna.create_study(
            storage=storage,
            study_name=settings.study or study_name(project),
            direction="minimize" if settings.objective == "val_loss" else "maximize",
            load_if_exists=True,
            pruner=_pruner(optuna, project),
        )
        handle.sampler = _sampler(optuna, project, [settings.seed, worker, len(handle.get_trials(deepcopy=False))])
    return Study(optuna, handle, settings.objective, url)


def study_name(project: Project) -> str:
    """The project's name and a digest of its question."""
    settings = project.settings
    asks = {
        "space": msgspec.to_builtins(settings.tune.space),
        "objective": settings.tune.objective,
        "data": msgspec.to_builtins(settings.data),
        "preprocessing": msgspec.to_builtins(settings.preprocessing),
        "train": _without(msgspec.to_builtins(settings.train), settings.tune.space.train),
        "model": _without(settings.model.hyperparameters, settings.tune.space.model),
    }
    digest = hashlib.sha256(encode(asks))
    for path in sorted(project.model_path.parent.glob("*.py")):
        digest.update(path.read_bytes())
    return f"{settings.project.name}-{digest.hexdigest()[:NAME_DIGEST_CHARS]}"


def _without(values: Mapping[str, object], searched: Mapping[str, object]) -> dict[str, object]:
    """What a trial does not choose; the present values of what it chooses ask nothing."""
    return {name: value for name, value in values.items() if name not in searched}


def hide_password(url: str) -> str:
    """The URL as it may be shown."""
    head, at, tail = url.rpartition("@")
    user, colon, _ = head.rpartition(":")
    return f"{user}:***@{tail}" if at and colon and not user.endswith(":/") and "//" in user else url


def _import_optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "optuna") from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    return optuna


def _open_storage(optuna: Any, url: str) -> Any:
    """A worker that was killed stops its heartbeat, and its trial is tried once more."""
    sqlite = url.startswith("sqlite:")
    return optuna.storages.RDBStorage(
        url,
        engine_kwargs={"connect_args": {"timeout": LOCK_WAIT_S}} if sqlite else {"pool_pre_ping": True},
        heartbeat_interval=HEARTBEAT_S,
        heartbeat_stale_trial_callback=optuna.storages.RetryHeartbeatStaleTrialCallback(max_retry=1),
    )


def _sampler(optuna: Any, project: Project, entropy: list[int]) -> Any:
    """Seeded by worker and by how far the study is, so that a search that goes on does not repeat itself."""
    seed = int(np.random.default_rng(entropy).integers(2**31))
    if project.settings.tune.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    return optuna.samplers.TPESampler(seed=seed)


def _pruner(optuna: Any, project: Project) -> Any:
    settings = project.settings.tune
    match settings.pruner:
        case "median":
            return optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS, n_warmup_steps=settings.warmup_epochs)
        case "hyperband":
            least = max(1, settings.warmup_epochs)
            epochs = max(least, project.settings.train.epochs)
            return optuna.pruners.HyperbandPruner(min_resource=least, max_resource=epochs)
        case "none":
            return optuna.pruners.NopPruner()


def _trial_view(trial: Any) -> TrialView:
    state = str(trial.state.name).lower()
    return TrialView(
        number=int(trial.number),
        state=state,
        value=float(trial.value) if state == "complete" and trial.value is not None else None,
        parameters=dict(trial.params),
        epochs=len(trial.intermediate_values),
    )


@contextmanager
def _quiet(optuna: Any) -> Iterator[None]:
    """Holds back Optuna's notes that a part of it may change; we pin its version."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield


@contextmanager
def _translated(url: str) -> Iterator[None]:
    """Errors of SQLAlchemy and its drivers as ours."""
    from sqlalchemy.exc import ArgumentError, SQLAlchemyError

    try:
        yield
    except EdgeferryError:
        raise
    except (ArgumentError, ModuleNotFoundError) as error:
        raise ConfigError(
            f"[tune] storage: {hide_password(url)}: {error}",
            hint="for instance postgresql+psycopg://user@host/name, its driver installed",
        ) from error
    except SQLAlchemyError as error:
        raise UnreachableError(f"[tune] storage: {hide_password(url)}: {type(error).__name__}: {error}") from error
    except Exception as error:
        if not type(error).__module__.startswith("optuna."):
            raise
        raise UnreachableError(f"[tune] storage: {hide_password(url)}: {error}") from error
