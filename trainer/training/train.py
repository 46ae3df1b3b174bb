"""Fits the user's Keras model: seeded, early stopping, the best epoch's weights kept, a checkpoint after each epoch.

Rules: an epoch depends on the state before it, the seed and its number, and on nothing else, so that a run that goes on
from a checkpoint ends with the weights of one that was never stopped (on the same machine's CPU). Random layers of a
user's own must draw through a `keras.random.SeedGenerator` that the layer holds, as Keras asks of them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import EdgeferryError, ModelError
from trainer.training.checkpoint import Checkpoint
from trainer.training.compiling import require_metrics
from trainer.training.early_stopping import Watch
from trainer.training.steps import Batches, build_state, compile_step, seed_epoch

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels
    from trainer.progress import Progress
    from trainer.settings import TrainSection
    from trainer.training.checkpoint import Arrays, RunFolder
    from trainer.training.distribute import Distribution

SCORE_BATCH = 512


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Preprocessed inputs (float32) with the index of each one's class, and how much each counts (None: all alike)."""

    inputs_B: NDArray[np.float32]
    labels_B: Labels
    weights_B: NDArray[np.float32] | None = None


def weigh(rows: LabelledInputs, weights_K: NDArray[np.float32] | None) -> LabelledInputs:
    """The rows, each with the weight of its class; None leaves them as they are."""
    return rows if weights_K is None else replace(rows, weights_B=weights_K[rows.labels_B])


@dataclass(frozen=True, slots=True)
class Fit:
    """How the fit went: figures of each epoch, and which epoch's weights the model has (first is 1)."""

    epochs: tuple[dict[str, float], ...]
    best_epoch: int


def fit_model(
    model: Any,
    *,
    train: LabelledInputs,
    validation: LabelledInputs,
    settings: TrainSection,
    progress: Progress,
    distribution: Distribution,
    run: RunFolder | None = None,
    after_batch: Callable[[], None] = lambda: None,
) -> Fit:
    """Trains `model` in place and leaves it with the weights of the epoch of least validation loss.

    `model` was made and compiled in the distribution's scope. `run` holds the checkpoints of this very training; None
    keeps none. What `after_batch` raises stops the training.

    Raises:
        ModelError: Keras cannot train it.
        StorageError: a checkpoint cannot be read or written.
        UnreachableError: another worker went away.
    """
    try:
        build_state(model, distribution, (train.inputs_B[:1], train.labels_B[:1]))
        require_metrics(model)
        return _Training(model, distribution, settings, progress, run, after_batch).fit(train, validation)
    except EdgeferryError:
        raise
    except Exception as error:  # Keras and the user's layers may raise anything
        raise distribution.lost_worker(error) or ModelError(
            f"training: got {type(error).__name__}: {error}, expected a model that can be fitted"
        ) from error


@dataclass(slots=True)
class _Training:
    """A compiled model on its way through the epochs."""

    model: Any
    distribution: Distribution
    settings: TrainSection
    progress: Progress
    run: RunFolder | None
    after_batch: Callable[[], None]
    watch: Watch = Watch()  # noqa: RUF009 - frozen
    epochs: tuple[dict[str, float], ...] = ()
    best: Arrays | None = None

    def fit(self, train: LabelledInputs, validation: LabelledInputs) -> Fit:
        """All epochs that are still to do, then the best one's weights."""
        self._go_on()
        size, seed = self.settings.batch_size, self.settings.seed
        batches = Batches(train.inputs_B, train.labels_B, size, seed, train.weights_B)
        train_batches = self.distribution.share(batches.shuffled())
        test_batches = Batches(validation.inputs_B, validation.labels_B, size, seed).in_order()
        train_step = compile_step(self.model.train_step, self.distribution, train_batches)
        test_step = compile_step(self.model.test_step, self.distribution, test_batches)
        while len(self.epochs) < self.settings.epochs and not self.watch.ended:
            batches.epoch = len(self.epochs) + 1
            seed_epoch(seed=seed, epoch=batches.epoch)
            figures = self._pass(train_step, train_batches)
            validated = self._pass(test_step, test_batches)
            self._after_epoch({**figures, **{f"val_{name}": value for name, value in validated.items()}})
        if self.best is not None:
            self.model.set_weights(self.best)
        return Fit(epochs=self.epochs, best_epoch=self.watch.best_epoch or len(self.epochs))

    def _pass(self, step: Callable[[Any], None], batches: Any) -> dict[str, float]:
        """The metrics over all batches."""
        self.model.reset_metrics()
        for batch in batches:
            step(batch)
            self.after_batch()
        return {name: float(value) for name, value in self.model.get_metrics_result().items()}

    def _after_epoch(self, figures: dict[str, float]) -> None:
        self.epochs = (*self.epochs, figures)
        done = len(self.epochs)
        self.watch = self.watch.after(done, figures["val_loss"], patience=self.settings.early_stopping_patience)
        if self.watch.best_epoch == done:
            self.best = _values(self.model.weights)
        if self.run is not None and self.run.writes:
            self.run.keep(self._checkpoint())
        self.progress.epoch(done, self.settings.epochs, figures)

    def _checkpoint(self) -> Checkpoint:
        return Checkpoint(
            model=_values(self.model.variables),
            optimizer=_values(self.model.optimizer.variables),
            best=None if self.watch.best_epoch == len(self.epochs) else self.best,
            watch=self.watch,
            epochs=self.epochs,
        )

    def _go_on(self) -> None:
        """Takes the state of the run's checkpoint where there is one; every worker takes the chief's."""
        found = self.run.latest() if self.run is not None and self.run.writes else None
        done = int(self.distribution.from_chief(np.asarray(len(found.epochs) if found else 0)))
        if done == 0:
            return
        found = self._agreed(found or self._blank(done))
        with self.distribution.scope():
            _assign(self.model.variables, found.model)
            _assign(self.model.optimizer.variables, found.optimizer)
        self.watch, self.epochs = found.watch, found.epochs
        self.best = found.best if found.best is not None else _weights_in(self.model, found.model)
        self.progress.remark(f"goes on after epoch {done} of {self.settings.epochs}; --fresh would begin anew")

    def _blank(self, done: int) -> Checkpoint:
        """A checkpoint of the right shapes, for a worker that has none."""
        model, optimizer = _values(self.model.variables), _values(self.model.optimizer.variables)
        return Checkpoint(model, optimizer, _values(self.model.weights), Watch(), ({},) * done)

    def _agreed(self, found: Checkpoint) -> Checkpoint:
        if self.distribution.cluster.workers == 1:
            return found
        send = self.distribution.from_chief
        watch = found.watch
        loss, best_epoch, waited, ended = send(
            np.asarray([watch.best_loss, watch.best_epoch, watch.waited, watch.ended], np.float64)
        ).tolist()
        model = [send(array) for array in found.model]
        best = found.best if found.best is not None else _weights_in(self.model, found.model)
        return Checkpoint(
            model=model,
            optimizer=[send(array) for array in found.optimizer],
            best=[send(array) for array in best],
            watch=Watch(loss, int(best_epoch), int(waited), bool(ended)),
            epochs=found.epochs,
        )


def _weights_in(model: Any, values: Arrays) -> Arrays:
    """Those of `values`, which follow `model.variables`, that belong to `model.weights`."""
    by_variable = {id(variable): value for variable, value in zip(model.variables, values, strict=True)}
    return [by_variable[id(variable)] for variable in model.weights]


def _values(variables: list[Any]) -> Arrays:
    return [np.array(variable.numpy()) for variable in variables]


def _assign(variables: list[Any], values: Arrays) -> None:
    """Puts `values` into `variables`.

    Raises:
        ModelError: they are not of the same number and shapes.
    """
    got = [value.shape for value in values]
    expected = [tuple(variable.shape) for variable in variables]
    if got != expected:
        raise ModelError(
            f"checkpoint: got variables of shapes {got}, expected {expected}",
            hint="`edgeferry train --fresh` begins anew",
        )
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def score(model: Any, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities (B, K) of preprocessed inputs."""
    batches = [
        np.asarray(model(inputs_B[start : start + SCORE_BATCH], training=False), np.float32)
        for start in range(0, len(inputs_B), SCORE_BATCH)
    ]
    return np.concatenate(batches)
