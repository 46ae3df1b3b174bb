"""A training by the user's own function `train_model` in the model file, in place of our loop.

    def train_model(model, train, validation, *, epochs, batch_size, learning_rate, seed, on_epoch):
        inputs, labels = train
        ...
        on_epoch({"loss": 0.4, "val_loss": 0.5, "val_accuracy": 0.8})   # after each epoch

Rules: all that hangs on epochs (progress, pruning, memory, the record) hangs on `on_epoch`, so never calling it is an
error; what `on_epoch` raises ends the training, also where the function catches it.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from fleet_contract.errors import ConfigError, ModelError
from trainer.training.compiling import LEARNING_RATE
from trainer.training.distribute import Strategy
from trainer.training.precision import Precision
from trainer.training.train import Fit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from trainer.progress import Progress
    from trainer.settings import TrainSection
    from trainer.training.train import LabelledInputs

FIGURES: Final = ("loss", "val_loss", "val_accuracy")
"""What `on_epoch` has to be told of each epoch."""


def require_single(settings: TrainSection) -> None:
    """Passes when the settings leave to `train_model` what only our loop does.

    Raises:
        ConfigError: they ask for a strategy or a precision.
    """
    for key, got, only in (
        ("strategy", settings.strategy, Strategy.NONE),
        ("precision", settings.precision, Precision.FLOAT32),
    ):
        if got is not only:
            raise ConfigError(
                f'[train] {key}: got "{got}", expected "{only}": the model file has a train_model, which trains alone',
                hint="without train_model our loop trains, on several devices or in 16 bits",
            )


def train_by_user(
    train_model: Callable[..., Any],
    model: Any,
    *,
    train: LabelledInputs,
    validation: LabelledInputs,
    settings: TrainSection,
    progress: Progress,
    weights_K: NDArray[np.float32] | None,
    after_epoch: Callable[[], None],
) -> tuple[Any, Fit]:
    """The model that the user's function trained, which is `model` unless it returned another, and how it went.

    Raises:
        ConfigError: classes are to be weighed, and the function takes no weights.
        ModelError: the function fails, or tells of no epoch.
    """
    heard = _Epochs(settings.epochs, progress, after_epoch)
    arguments = {
        "epochs": settings.epochs,
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate or LEARNING_RATE,
        "seed": settings.seed,
        "on_epoch": heard,
        **_weights_argument(train_model, weights_K),
    }
    try:
        returned = train_model(
            model, (train.inputs_B, train.labels_B), (validation.inputs_B, validation.labels_B), **arguments
        )
    except Exception as error:  # a user's code may raise anything
        heard.require_going_on()
        raise ModelError(
            f"train_model: got {type(error).__name__}: {error}, expected a function that trains the model: "
            f"train_model(model, train, validation, *, {', '.join(arguments)})"
        ) from error
    heard.require_going_on()
    heard.require_any()
    return model if returned is None else returned, Fit(heard.epochs, best_epoch=len(heard.epochs))


def _weights_argument(train_model: Callable[..., Any], weights_K: NDArray[np.float32] | None) -> dict[str, object]:
    """`class_weight` as Keras takes it, if the function does; None where all classes count the same."""
    parameters = inspect.signature(train_model).parameters
    if "class_weight" in parameters:
        return {"class_weight": None if weights_K is None else dict(enumerate(weights_K.tolist()))}
    if weights_K is not None:
        raise ConfigError(
            "[train] class_weight: got a train_model without such an argument, expected one that takes the weights",
            hint="add class_weight to the arguments of train_model: a dictionary as model.fit takes it, or None",
        )
    return {}


@dataclass(slots=True)
class _Epochs:
    """`on_epoch`: what it was told, and what has ended the training."""

    total: int
    progress: Progress
    after_epoch: Callable[[], None]
    epochs: tuple[dict[str, float], ...] = ()
    ended_by: Exception | None = None

    def __call__(self, figures: Mapping[str, float]) -> None:
        """Takes the figures of one more epoch."""
        self.require_going_on()
        try:
            self._take(figures)
        except Exception as error:  # kept, since the user's function may catch it
            self.ended_by = error
            raise

    def _take(self, figures: Mapping[str, float]) -> None:
        missing = [name for name in FIGURES if name not in figures]
        if missing:
            got = ", ".join(figures) or "none"
            raise ModelError(f"train_model: on_epoch: got figures {got}, expected {', '.join(missing)} as well")
        done = len(self.epochs) + 1
        if done > self.total:
            raise ModelError(f"train_model: on_epoch: got call {done}, expected at most {self.total}: [train] epochs")
        self.after_epoch()
        self.epochs = (*self.epochs, {name: float(value) for name, value in figures.items()})
        self.progress.epoch(done, self.total, self.epochs[-1])

    def require_going_on(self) -> None:
        """Raises again what has ended the training, if anything has."""
        if self.ended_by is not None:
            raise self.ended_by

    def require_any(self) -> None:
        """Raises a ModelError when no epoch was told of."""
        if not self.epochs:
            raise ModelError(
                "train_model: got no call of on_epoch, expected one after each epoch",
                hint="with model.fit: callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _, logs: "
                "on_epoch(logs))]",
            )
