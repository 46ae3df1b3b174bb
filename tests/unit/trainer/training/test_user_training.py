"""A training by the user's own function: what it is given, what it must tell, and what ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.errors import ConfigError, ModelError
from tests.fakes.trainer_progress import RecordingProgress
from trainer.settings import TrainSection
from trainer.training.distribute import Strategy
from trainer.training.precision import Precision
from trainer.training.train import Fit, LabelledInputs
from trainer.training.user_training import require_single, train_by_user

if TYPE_CHECKING:
    from collections.abc import Callable

FIGURES = {"loss": 0.5, "val_loss": 0.6, "val_accuracy": 0.7}
ROWS = LabelledInputs(np.zeros((4, 2), np.float32), np.asarray([0, 0, 0, 1]))
SETTINGS = TrainSection(epochs=2, seed=5)


def trained(
    function: Callable[..., Any],
    *,
    progress: RecordingProgress | None = None,
    weights_K: np.ndarray[tuple[int], np.dtype[np.float32]] | None = None,
    after_epoch: Callable[[], None] = lambda: None,
) -> tuple[Any, Fit]:
    """The model `"built"`, trained by the function."""
    return train_by_user(
        function,
        "built",
        train=ROWS,
        validation=ROWS,
        settings=SETTINGS,
        progress=progress or RecordingProgress(),
        weights_K=weights_K,
        after_epoch=after_epoch,
    )


def test_the_function_gets_the_model_the_rows_and_the_settings() -> None:
    """Arrays as they are, each key of [train] that it may need, and a learning rate also where none is set."""
    given: dict[str, Any] = {}

    def train_model(model: str, train: Any, validation: Any, **arguments: Any) -> None:
        given.update(arguments, model=model, train=train, validation=validation)
        arguments["on_epoch"](FIGURES)

    progress = RecordingProgress()
    model, fit = trained(train_model, progress=progress)
    assert (model, fit) == ("built", Fit((FIGURES,), best_epoch=1))
    assert progress.epochs == [FIGURES]
    assert given["train"] == (ROWS.inputs_B, ROWS.labels_B)
    names = ("model", "epochs", "batch_size", "learning_rate", "seed")
    assert [given[name] for name in names] == ["built", 2, 64, 0.001, 5]
    assert "class_weight" not in given


def test_a_model_that_is_returned_takes_the_place_of_the_built_one() -> None:
    """For functions that make another one, such as a distilled or pruned network."""

    def train_model(_model: str, _train: Any, _validation: Any, *, on_epoch: Any, **_: Any) -> str:
        on_epoch({**FIGURES, "lr": np.float32(0.5)})
        return "another"

    model, fit = trained(train_model)
    assert model == "another"
    assert fit.epochs == ({**FIGURES, "lr": 0.5},)


def test_class_weights_go_to_a_function_that_takes_them() -> None:
    """As a dictionary, as Keras takes it; None where all classes count the same."""
    given: list[object] = []

    def train_model(_model: str, _train: Any, _validation: Any, *, class_weight: object, **rest: Any) -> None:
        given.append(class_weight)
        rest["on_epoch"](FIGURES)

    trained(train_model)
    trained(train_model, weights_K=np.asarray([0.5, 2.0], np.float32))
    assert given == [None, {0: 0.5, 1: 2.0}]


def test_class_weights_that_the_function_does_not_take_are_an_error() -> None:
    """A setting that would change nothing is refused before the function runs."""
    with pytest.raises(ConfigError, match="class_weight: got a train_model without such an argument"):
        trained(lambda *_, **__: 1 / 0, weights_K=np.asarray([0.5, 2.0], np.float32))


def call(times: int, figures: dict[str, float]) -> Callable[..., None]:
    """A function that tells these figures so many times."""

    def train_model(*_: Any, on_epoch: Any, **__: Any) -> None:
        for _time in range(times):
            on_epoch(figures)

    return train_model


def positional(_model: str, _train: Any) -> None:
    """A function of another form."""


def failing(*_: Any, **__: Any) -> None:
    """A function with a fault."""
    raise KeyError("loss")


BROKEN = {
    "it tells of no epoch": (call(0, FIGURES), "train_model: got no call of on_epoch"),
    "it tells too little": (call(1, {"loss": 1.0}), "got figures loss, expected val_loss, val_accuracy as well"),
    "it tells of more epochs than asked for": (call(3, FIGURES), "got call 3, expected at most 2"),
    "it takes other arguments": (positional, "unexpected keyword argument 'epochs'"),
    "it fails": (failing, "train_model: got KeyError: 'loss', expected a function that trains the model"),
}


@pytest.mark.parametrize(("function", "words"), BROKEN.values(), ids=BROKEN)
def test_a_function_that_does_not_keep_to_its_form_is_named(function: Callable[..., Any], words: str) -> None:
    """The error says what it did and what was expected."""
    with pytest.raises(ModelError) as caught:
        trained(function)
    assert words in caught.value.message


def test_what_ends_a_training_ends_it_though_the_function_catches_it() -> None:
    """A limit on memory or a pruned trial holds, whatever the user's code does about exceptions."""

    def train_model(*_: Any, on_epoch: Any, **__: Any) -> None:
        for _time in range(2):
            try:
                on_epoch(FIGURES)
            except ConfigError:
                continue

    def too_much() -> None:
        raise ConfigError("beyond memory_mb")

    progress = RecordingProgress()
    with pytest.raises(ConfigError, match="beyond memory_mb"):
        trained(train_model, progress=progress, after_epoch=too_much)
    assert progress.epochs == []


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        (TrainSection(strategy=Strategy.MIRRORED), "strategy"),
        (TrainSection(precision=Precision.MIXED_FLOAT16), "precision"),
    ],
)
def test_what_only_our_loop_does_is_refused(settings: TrainSection, key: str) -> None:
    """Several devices and 16 bits are not silently left out."""
    with pytest.raises(ConfigError, match=rf"\[train\] {key}: got .*the model file has a train_model"):
        require_single(settings)
    require_single(TrainSection())
