"""The user's `model.py`: loaded, called and checked, so that a wrong model fails before training and in clear words."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SOFTMAX_TOLERANCE = 1e-3
HALF_TOLERANCE = 2e-2
"""For sums of numbers with 16 bits, of which bfloat16 keeps eight for the digits."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """The functions of a model file; `train` is its `train_model`, None where it has none."""

    path: Path
    builder: Callable[..., Any]
    train: Callable[..., Any] | None

    def build(
        self,
        input_shape: tuple[int, ...],
        class_count: int,
        hyperparameters: Mapping[str, bool | int | float | str],
    ) -> Any:
        """The user's Keras model, checked to map (B, *input_shape) to (B, class_count) probabilities.

        Raises:
            ModelError: the function fails, or its model has another form.
        """
        try:
            model = self.builder(input_shape, class_count, **hyperparameters)
        except Exception as error:  # a user's code may raise anything
            raise _no_model(f"{self.path}: build_model", error, input_shape) from error
        check_model(model, input_shape, class_count, f"{self.path}: build_model")
        return model


def load_model_file(path: Path) -> ModelFile:
    """The functions `build_model` and, if it is there, `train_model` of the Python file. The file's code runs.

    Raises:
        ModelError: no such file, an error in it, or no `build_model`.
    """
    spec = importlib.util.spec_from_file_location("edgeferry_user_model", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"{path}: got no Python file, expected one with `build_model`", hint="see [model] file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code may raise anything
        raise ModelError(f"{path}: got {type(error).__name__}: {error}, expected a module that loads") from error
    builder, train = getattr(module, "build_model", None), getattr(module, "train_model", None)
    if not callable(builder):
        raise ModelError(f"{path}: got no function `build_model`, expected build_model(input_shape, class_count, ...)")
    return ModelFile(path, builder, train if callable(train) else None)


def check_model(model: Any, input_shape: tuple[int, ...], class_count: int, made_by: str) -> None:
    """Passes when `model` maps (B, *input_shape) to (B, class_count) probabilities.

    Raises:
        ModelError: it does not; `made_by` names the file and function.
    """
    try:
        scores_BK = np.asarray(model(np.zeros((2, *input_shape), np.float32), training=False))
    except Exception as error:  # a user's layers may raise anything
        raise _no_model(made_by, error, input_shape) from error
    _check_scores(scores_BK, class_count, made_by)


def _no_model(made_by: str, error: Exception, input_shape: tuple[int, ...]) -> ModelError:
    return ModelError(
        f"{made_by}: got {type(error).__name__}: {error}, expected a Keras model that takes a batch of "
        f"{list(input_shape)}",
        hint="hyperparameters come from [model.hyperparameters]; train_model returns a model or None",
    )


def _check_scores(scores_BK: np.ndarray[Any, Any], class_count: int, made_by: str) -> None:
    if scores_BK.shape != (2, class_count):
        raise ModelError(f"{made_by}: got output {list(scores_BK.shape)} for a batch of 2, expected {[2, class_count]}")
    tolerance = SOFTMAX_TOLERANCE if scores_BK.dtype.itemsize > 2 else HALF_TOLERANCE
    scores_BK = scores_BK.astype(np.float32)
    if not np.allclose(scores_BK.sum(axis=1), 1.0, atol=tolerance) or float(scores_BK.min()) < 0.0:
        raise ModelError(
            f"{made_by}: got rows that sum to {float(scores_BK.sum(axis=1)[0]):g}, expected probabilities",
            hint='end the model with Dense(class_count, activation="softmax")',
        )
