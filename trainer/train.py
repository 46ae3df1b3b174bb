"""Fits the user's Keras model: seeded, early stopping, the best epoch's weights kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import EdgeferryError, ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from trainer.dataset import Labels
    from trainer.progress import Progress
    from trainer.settings import TrainSection

SCORE_BATCH = 512


@dataclass(frozen=True, slots=True)
class LabelledInputs:
    """Preprocessed inputs (float32) with the index of each one's class."""

    inputs_B: NDArray[np.float32]
    labels_B: Labels


@dataclass(frozen=True, slots=True)
class Fit:
    """How the fit went: figures of each epoch, and which epoch's weights the model has (first is 1)."""

    epochs: tuple[dict[str, float], ...]
    best_epoch: int


def fit_model(
    keras: Any,
    model: Any,
    *,
    train: LabelledInputs,
    validation: LabelledInputs,
    settings: TrainSection,
    progress: Progress,
) -> Fit:
    """Trains `model` in place and leaves it with the weights of the epoch of least validation loss.

    Raises:
        ModelError: Keras cannot train it.
    """
    listener = _make_listener(keras, settings.epochs, progress)
    try:
        model.compile(
            optimizer=keras.optimizers.Adam(settings.learning_rate),
            loss="sparse_categorical_crossentropy",
            metrics=["accuracy"],
            jit_compile=False,
        )
        model.fit(
            train.inputs_B,
            train.labels_B,
            validation_data=(validation.inputs_B, validation.labels_B),
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            verbose=0,
            callbacks=[*_keep_best(keras, settings), listener],
        )
    except EdgeferryError:
        raise
    except Exception as error:  # Keras and the user's layers may raise anything
        raise ModelError(
            f"training: got {type(error).__name__}: {error}, expected a model that can be fitted"
        ) from error
    return Fit(epochs=tuple(listener.epochs), best_epoch=_best_epoch(listener.epochs))


def _keep_best(keras: Any, settings: TrainSection) -> list[Any]:
    """A patience beyond the last epoch never stops early and still restores the best weights."""
    patience = settings.early_stopping_patience or settings.epochs + 1
    stopper = keras.callbacks.EarlyStopping(monitor="val_loss", patience=patience, restore_best_weights=True)
    return [stopper, keras.callbacks.TerminateOnNaN()]


def _best_epoch(epochs: list[dict[str, float]]) -> int:
    losses = np.asarray([figures.get("val_loss", np.nan) for figures in epochs])
    return int(np.nanargmin(losses)) + 1 if np.isfinite(losses).any() else len(epochs)


def _make_listener(keras: Any, total: int, progress: Progress) -> Any:
    """Keras wants a subclass of its own, so the class is made once keras is there."""

    class Listener(keras.callbacks.Callback):  # type: ignore[misc]  # keras is untyped
        def __init__(self) -> None:
            super().__init__()
            self.epochs: list[dict[str, float]] = []

        def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
            figures = {name: float(value) for name, value in (logs or {}).items()}
            self.epochs.append(figures)
            progress.epoch(epoch + 1, total, figures)

    return Listener()


def score(model: Any, inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """Class probabilities (B, K) of preprocessed inputs."""
    batches = [
        np.asarray(model(inputs_B[start : start + SCORE_BATCH], training=False), np.float32)
        for start in range(0, len(inputs_B), SCORE_BATCH)
    ]
    return np.concatenate(batches)
