"""One trial: a training with chosen values, judged on the validation split, ended early where it is behind."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fleet_contract.errors import EdgeferryError, ModelError
from trainer.progress import Silent
from trainer.records.tracking import tracked_run
from trainer.training.keras_runtime import import_keras
from trainer.training.train_stage import train
from trainer.tuning.space import choose, with_choice
from trainer.tuning.turns import SurplusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trainer.project import Project
    from trainer.records.tracking import TrackedRun
    from trainer.stages import Prepared
    from trainer.training.train import Fit
    from trainer.tuning.settings import Dimension, Scalar
    from trainer.tuning.study import Study
    from trainer.tuning.turns import Turns


class _PrunedError(EdgeferryError):
    """The trial is behind; no error, but the only way out of a training."""


@dataclass(frozen=True, slots=True)
class TrialRunner:
    """Trains trials of one study over the same prepared data; any check of `turns` may raise after an epoch."""

    project: Project
    prepared: Prepared
    study: Study
    space: Mapping[str, Dimension]
    turns: Turns

    def __call__(self, trial: Any) -> float:
        """The objective at the trial's best epoch.

        Raises:
            ModelError: the choice makes no model that trains to a finite objective.
            SurplusError: other processes have taken all places meanwhile.
            optuna.TrialPruned: the trial is behind.
        """
        self._begin(trial)
        choice = choose(self.space, trial)
        number = int(trial.number)
        with tracked_run(self.project, name=f"{self.study.name} trial {number}") as tracked:
            tracked.log(params={**choice}, tags={"study": self.study.name, "trial": str(number)})
            try:
                fit = self._fit(choice, trial)
            except _PrunedError as error:
                tracked.log(tags={"trial_state": "pruned"})
                pruned: Exception = self.study.optuna.TrialPruned(error.message)
            else:
                return self._value(fit, tracked)
        raise pruned

    def _begin(self, trial: Any) -> None:
        self.study.begin(trial)
        try:
            self.turns.claim(int(trial.number))
        except SurplusError:
            self.study.give_back(trial)
            raise

    def _fit(self, choice: Mapping[str, Scalar], trial: Any) -> Fit:
        import_keras().utils.clear_session()
        project = with_choice(self.project, choice)
        progress = _TrialProgress(trial, self.study.objective, self.turns.checks)
        return train(project, self.prepared, progress, keep_checkpoints=False).fit

    def _value(self, fit: Fit, tracked: TrackedRun) -> float:
        for number, figures in enumerate(fit.epochs, start=1):
            tracked.log(metrics=figures, step=number)
        values = [figures[self.study.objective] for figures in fit.epochs]
        finite = [value for value in values if math.isfinite(value)]
        if not finite:
            raise ModelError(f"trial: got {self.study.objective} {values}, expected a finite number")
        value = min(finite) if self.study.objective == "val_loss" else max(finite)
        tracked.log(metrics={"objective": value}, tags={"trial_state": "complete"})
        return value


@dataclass(frozen=True, slots=True)
class _TrialProgress(Silent):
    """Tells the study of each epoch and asks whether to go on."""

    trial: Any
    objective: str
    checks: Sequence[Callable[[], None]]

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Reports the epoch's objective.

        Raises:
            _PrunedError: the study says that the trial is behind.
        """
        for check in self.checks:
            check()
        value = figures[self.objective]
        if not math.isfinite(value):
            return
        self.trial.report(value, done)
        if self.trial.should_prune():
            raise _PrunedError(f"behind after epoch {done} of {total}")
