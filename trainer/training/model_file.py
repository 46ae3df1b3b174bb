"""The user's `model.py`: loaded, called and checked, so that a wrong model fails before training and in clear words."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

SOFTMAX_TOLERANCE = 1e-3
HALF_TOLERANCE = 2e-2
"""For sums of numbers with 16 bits, of which bfloat16 keeps eight for the digits."""


def load_builder(path: Path) -> Callable[..., Any]:
    """The function `build_model` of the Python file at `path`. The file's code runs.

    Raises:
        ModelError: no such file, an error in it, or no such function.
    """
    spec = importlib.util.spec_from_file_location("edgeferry_user_model", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ModelError(f"{path}: got no Python file, expected one with `build_model`", hint="see [model] file")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's code may raise anything
        raise ModelError(f"{path}: got {type(error).__name__}: {error}, expected a module that loads") from error
    builder: Callable[..., Any] | None = getattr(module, "build_model", None)
    if builder is None or not callable(builder):
        raise ModelError(f"{path}: got no function `build_model`, expected build_model(input_shape, class_count, ...)")
    return builder


def build_model(
    path: Path, input_shape: tuple[int, ...], class_count: int, hyperparameters: Mapping[str, bool | int | float | str]
) -> Any:
    """The user's Keras model, checked to map (B, *input_shape) to (B, class_count) probabilities.

    Raises:
        ModelError: the function fails, or its model has another form.
    """
    builder = load_builder(path)
    try:
        model = builder(input_shape, class_count, **hyperparameters)
        scores_BK = np.asarray(model(np.zeros((2, *input_shape), np.float32), training=False))
    except Exception as error:  # a user's code may raise anything
        raise ModelError(
            f"{path}: build_model: got {type(error).__name__}: {error}, expected a Keras model that takes a batch of "
            f"{list(input_shape)}",
            hint="hyperparameters come from [model.hyperparameters]",
        ) from error
    _check_scores(scores_BK, class_count, path)
    return model


def _check_scores(scores_BK: np.ndarray[Any, Any], class_count: int, path: Path) -> None:
    if scores_BK.shape != (2, class_count):
        raise ModelError(
            f"{path}: build_model: got output {list(scores_BK.shape)} for a batch of 2, expected {[2, class_count]}"
        )
    tolerance = SOFTMAX_TOLERANCE if scores_BK.dtype.itemsize > 2 else HALF_TOLERANCE
    scores_BK = scores_BK.astype(np.float32)
    if not np.allclose(scores_BK.sum(axis=1), 1.0, atol=tolerance) or float(scores_BK.min()) < 0.0:
        raise ModelError(
            f"{path}: build_model: got rows that sum to {float(scores_BK.sum(axis=1)[0]):g}, expected probabilities",
            hint='end the model with Dense(class_count, activation="softmax")',
        )
