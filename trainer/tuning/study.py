"""Studies in Optuna: opened or gone on with, in SQLite or any database that SQLAlchemy knows.

Rules: a study is named after what it asks (the space, the objective, the data, the model's code), so that a search goes
on with the trials of the same question and of no other.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import msgspec
import numpy as np
from msgspec import Struct

from fleet_contract.codec import encode
from fleet_files.durable import make_folder
from trainer.tuning.settings import Scalar
from trainer.tuning.storage import hide_password, import_optuna, open_storage, quiet, translated, with_driver

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trainer.project import Project

STARTUP_TRIALS: Final = 4
NAME_DIGEST_CHARS: Final = 12
_BEGUN: Final = "begun"
_SURPLUS: Final = "surplus"


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
        return self.count("complete") + self.count("pruned")

    def count(self, state: str) -> int:
        """Trials in that state."""
        return sum(trial.state == state for trial in self.trials)


@dataclass(frozen=True, slots=True)
class Study:
    """An open study of Optuna's and where it is kept."""

    optuna: Any
    handle: Any
    objective: str
    storage_url: str
    sampler: Callable[[int], Any]

    @property
    def name(self) -> str:
        """The study's name in its database."""
        return str(self.handle.study_name)

    def view(self) -> StudyView:
        """All trials as they stand.

        Raises:
            UnreachableError: the database does not answer.
        """
        with translated(self.storage_url):
            trials = tuple(_trial_view(trial) for trial in self._all() if not _marked(trial, _SURPLUS))
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

    def begin(self, trial: Any) -> None:
        """Marks a trial as this process's own, with a first heartbeat, and draws its values by its number alone."""
        self.handle._storage.record_heartbeat(trial._trial_id)  # noqa: SLF001 - before the mark; the thread's may be late
        trial.set_user_attr(_BEGUN, trial.number)
        self.handle.sampler = self.sampler(int(trial.number))

    def give_back(self, trial: Any) -> None:
        """Marks a trial that was one too many; it is not shown."""
        trial.set_user_attr(_SURPLUS, trial.number)

    def earlier(self, number: int) -> int:
        """Trials with lower numbers that have not failed."""
        return sum(trial.number < number and trial.state.name != "FAIL" for trial in self._all())

    def silent(self) -> list[int]:
        """Running trials that no process has marked as its own."""
        running = (trial for trial in self._all() if trial.state.name == "RUNNING")
        return [trial.number for trial in running if not _marked(trial, _BEGUN)]

    def fail_stale(self) -> None:
        """Fails trials whose heartbeat is too old, each of which is then tried once more."""
        with translated(self.storage_url), quiet(self.optuna):
            self.optuna.storages.fail_stale_trials(self.handle)

    def fail(self, number: int) -> None:
        """Fails a trial that never began."""
        with translated(self.storage_url):
            self.handle.tell(number, state=self.optuna.trial.TrialState.FAIL, skip_if_finished=True)

    def run_one(self, objective: Callable[[Any], float], *, catch: tuple[type[Exception], ...]) -> None:
        """Runs one trial; errors in `catch` make it a failed one.

        A process that slept past its heartbeat finds its trial failed and tried anew elsewhere: nothing is lost.
        """
        with translated(self.storage_url):
            try:
                self.handle.optimize(objective, n_trials=1, catch=catch, gc_after_trial=True)
            except self.optuna.exceptions.UpdateFinishedTrialError:
                return

    def _all(self) -> list[Any]:
        return list(self.handle.get_trials(deepcopy=False))

    def _importances(self, complete: int) -> dict[str, float]:
        """Empty where Optuna cannot tell: two trials, or values that are all equal."""
        if complete < STARTUP_TRIALS:
            return {}
        with quiet(self.optuna):
            try:
                found = self.optuna.importance.get_param_importances(self.handle)
            except (RuntimeError, ValueError):
                return {}
        return {str(name): float(share) for name, share in found.items() if math.isfinite(share)}


def open_study(project: Project) -> Study:
    """The study of the project's question, made where it does not exist yet.

    Raises:
        ConfigError: the storage's URL is none.
        MissingExtraError: Optuna or the database's driver is not installed.
        UnreachableError: the database does not answer.
    """
    optuna = import_optuna()
    settings = project.settings.tune
    url = with_driver(settings.storage) or f"sqlite:///{make_folder(project.state_folder) / 'tune.db'}"
    with translated(url), quiet(optuna):
        storage = open_storage(optuna, url)
        handle = optuna.create_study(
            storage=storage,
            study_name=settings.study or study_name(project),
            direction="minimize" if settings.objective == "val_loss" else "maximize",
            load_if_exists=True,
            pruner=_pruner(optuna, project),
        )
    return Study(optuna, handle, settings.objective, url, partial(_sampler, optuna, project))


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


def _sampler(optuna: Any, project: Project, number: int) -> Any:
    """Seeded by the trial's number, so that neither a search that goes on nor another process repeats a proposal."""
    seed = int(np.random.default_rng([project.settings.tune.seed, number]).integers(2**31))
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


def _marked(trial: Any, mark: str) -> bool:
    """Whether this very trial is; one that is tried again takes over the marks of the one before it."""
    return bool(trial.user_attrs.get(mark) == trial.number)


def _trial_view(trial: Any) -> TrialView:
    state = str(trial.state.name).lower()
    return TrialView(
        number=int(trial.number),
        state=state,
        value=float(trial.value) if state == "complete" and trial.value is not None else None,
        parameters=dict(trial.params),
        epochs=len(trial.intermediate_values),
    )
