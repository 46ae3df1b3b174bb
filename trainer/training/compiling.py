"""What a model learns with: the optimizer, loss and metrics that its author compiled it with, or ours.

Rules: a compiled model keeps all three, and then it alone says how fast it learns; what the loop needs of them is
checked before the first step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import ConfigError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEARNING_RATE: Final = 0.001
"""Where neither the settings nor a compiled model name one."""
NEEDED_METRICS: Final = ("loss", "accuracy")
"""What early stopping, pruning and the record of a run look at."""
SURE: Final = 0.98


def compile_model(keras: Any, model: Any, *, learning_rate: float | None, class_count: int) -> dict[str, str | float]:
    """Compiles `model` as we do unless its author did; says in words for the lineage what it learns with.

    Call it in the scope that the model was made in.

    Raises:
        ConfigError: the author compiled it, and the settings name a learning rate as well.
        ModelError: the author's loss does not take class numbers.
    """
    if model.compiled:
        _require_no_rate(learning_rate)
        _require_class_numbers(model, class_count)
        return {"optimizer": _optimizer_name(model.optimizer), "loss": _loss_name(model.loss)}
    rate = learning_rate or LEARNING_RATE
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=False,
    )
    return {"optimizer": "adam", "loss": "sparse_categorical_crossentropy", "learning_rate": rate}


def _require_no_rate(learning_rate: float | None) -> None:
    if learning_rate is not None:
        raise ConfigError(
            f"[train] learning_rate: got {learning_rate:g}, expected none: build_model compiles its model, with an "
            "optimizer that has a rate of its own",
            hint="leave it out of [train] and of [tune.space]; an argument of build_model can be searched instead",
        )


def _require_class_numbers(model: Any, class_count: int) -> None:
    """A loss of class numbers is less where the scores are sure of the right class than where of a wrong one.

    A loss that wants one-hot labels either fails or takes a class number for every class's target: then it is the same.
    """
    labels_B = np.asarray([0, 1], np.int64)
    try:
        right, wrong = (_loss(model, labels_B, top_B, class_count) for top_B in (labels_B, labels_B[::-1]))
    except Exception as error:  # a user's loss may raise anything
        raise _wrong_loss(model, f"{type(error).__name__}: {error}") from error
    if not right < wrong - 1e-3:
        raise _wrong_loss(model, f"{right:g} for right answers and {wrong:g} for wrong ones")


def _loss(model: Any, labels_B: NDArray[np.int64], top_B: NDArray[np.int64], class_count: int) -> float:
    """The loss where the scores are sure of `top_B`."""
    scores_BK = np.full((len(labels_B), class_count), (1.0 - SURE) / (class_count - 1), np.float32)
    scores_BK[np.arange(len(labels_B)), top_B] = SURE
    return float(model.compute_loss(y=labels_B, y_pred=scores_BK))


def _wrong_loss(model: Any, got: str) -> ModelError:
    return ModelError(
        f"build_model: loss {_loss_name(model.loss)}: got {got}, expected a loss that takes the number of each row's "
        "class, not one-hot labels",
        hint='for instance loss="sparse_categorical_crossentropy"; train_model in the model file may train as it likes',
    )


def require_metrics(model: Any) -> None:
    """Passes when the compiled and built `model` measures all that the loop looks at.

    Raises:
        ModelError: it does not; names what is missing.
    """
    measured = list(model.get_metrics_result())
    missing = [name for name in NEEDED_METRICS if name not in measured]
    if missing:
        raise ModelError(
            f"build_model: metrics: got {', '.join(measured)}, expected {', '.join(missing)} as well",
            hint='compile(..., metrics=["accuracy"]), or name="accuracy" for a metric of your own',
        )


def _optimizer_name(optimizer: Any) -> str:
    """Without the wrapper that scales the loss in mixed precision."""
    return str(getattr(optimizer, "inner_optimizer", optimizer).name)


def _loss_name(loss: Any) -> str:
    if isinstance(loss, str):
        return loss
    return str(getattr(loss, "name", None) or getattr(loss, "__name__", type(loss).__name__))
