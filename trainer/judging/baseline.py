"""What anybody would try first: a ridge classifier and nearest centroids, trained on the candidate's own split.

Rules: no clock, no randomness; the same rows give the same figures. Bounded, so that large data cost seconds: at most
MAX_ROWS rows, and rows of more than MAX_FEATURES numbers are averaged over neighbours. Legend: B rows, N numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

from fleet_contract.errors import MissingExtraError
from trainer.lean_imports import leaving_out

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.training.train import LabelledInputs

MAX_ROWS: Final = 20_000
MAX_FEATURES: Final = 1024


class SimpleModel(Struct, frozen=True, kw_only=True):
    """A simple model and its accuracy on the test split."""

    name: str
    accuracy: float


def simple_models(train: LabelledInputs, test: LabelledInputs) -> tuple[SimpleModel, ...]:
    """Both simple models, the better one first. Inputs are preprocessed and finite.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        with leaving_out("pandas"):
            from sklearn.linear_model import RidgeClassifier
            from sklearn.neighbors import NearestCentroid
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "scikit-learn") from error
    rows_I = evenly(len(train.labels_B), MAX_ROWS)
    train_BN, train_labels_B = flat(train.inputs_B[rows_I]), train.labels_B[rows_I]
    test_BN = flat(test.inputs_B)
    kinds: dict[str, Any] = {"ridge classifier": RidgeClassifier(), "nearest centroid": NearestCentroid()}
    found = [
        SimpleModel(name=name, accuracy=_accuracy(model, train_BN, train_labels_B, test_BN, test.labels_B))
        for name, model in kinds.items()
    ]
    return tuple(sorted(found, key=lambda model: -model.accuracy))


def _accuracy(
    model: Any,
    train_BN: NDArray[np.float32],
    train_labels_B: NDArray[np.int64],
    test_BN: NDArray[np.float32],
    test_labels_B: NDArray[np.int64],
) -> float:
    if len(np.unique(train_labels_B)) < 2:
        return float((test_labels_B == train_labels_B[0]).mean())
    model.fit(train_BN, train_labels_B)
    return float((model.predict(test_BN) == test_labels_B).mean())


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` indices of `count` rows, evenly spread."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).astype(np.int64)


def flat(inputs_B: NDArray[np.float32]) -> NDArray[np.float32]:
    """Each row as at most MAX_FEATURES numbers (BN); longer rows as means of equal runs of neighbours."""
    rows_BN = np.nan_to_num(inputs_B.reshape(len(inputs_B), -1))
    width = rows_BN.shape[1]
    if width <= MAX_FEATURES:
        return rows_BN
    starts_N = np.linspace(0, width, MAX_FEATURES, endpoint=False).astype(np.int64)
    sizes_N = np.diff(np.append(starts_N, width))
    return (np.add.reduceat(rows_BN, starts_N, axis=1) / sizes_N).astype(np.float32)
