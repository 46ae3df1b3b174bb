"""Labels worth a second look: rows of which a simple model, that has not seen them, is sure of another class.

Out-of-fold probabilities of a logistic regression on standardized, compressed inputs; a row is suspicious when it
reaches the confidence that is usual for another class and falls short of that for its own label (confident learning).
A finding is never an error: hard and rare rows are found as well.
Source: Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels" (2021), section 3.1,
equations 1 and 2; ranked by normalized margin, section 3.2.
Rules: pure, `seed` decides the sample and the folds. Legend: B rows, K classes.
"""

from __future__ import annotations

import warnings
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

from fleet_contract.errors import MissingExtraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset, Indices, Labels

FOLDS: Final = 5
MAX_ROWS: Final = 4000
MAX_COMPONENTS: Final = 50
MAX_INPUTS: Final = 4096
"""Numbers of an input that are looked at; larger ones are thinned out evenly."""
MAX_ITERATIONS: Final = 100
MIN_GAIN: Final = 0.1
"""Share of the errors of always answering the commonest class that the simple model must avoid to be listened to."""
MAX_LISTED: Final = 20


class SuspiciousLabel(Struct, frozen=True, kw_only=True):
    """A row, its label, and the class that the simple model would give it with `confidence`."""

    row: int
    label: str
    suggested: str
    confidence: float
    label_confidence: float


class LabelReview(Struct, frozen=True, kw_only=True):
    """The most suspicious of `checked` rows; `accuracy` is the simple model's, `remark` says why nothing was judged."""

    checked: int
    count: int
    accuracy: float
    rows: tuple[SuspiciousLabel, ...] = ()
    remark: str = ""

    def __str__(self) -> str:
        """The finding as a line for people."""
        if self.remark:
            return f"labels: not judged: {self.remark}"
        return f"labels: {self.count} of {self.checked} rows are worth a second look (simple model {self.accuracy:.1%})"


def review_labels(data: Dataset, *, seed: int, max_rows: int = MAX_ROWS) -> LabelReview:
    """The rows of `data` whose labels a person should look at, most suspicious first.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    _require_sklearn()
    rows_I = _sample(data, np.random.default_rng(seed), max_rows)
    labels_B = data.labels_B[rows_I]
    present = np.unique(labels_B)
    if len(present) < 2:
        return LabelReview(checked=0, count=0, accuracy=0.0, remark=f"got {len(present)} classes of two rows or more")
    codes_B = np.searchsorted(present, labels_B)
    scores_BK = _out_of_fold(_flat(data.inputs_B[rows_I]), codes_B, seed)
    accuracy = float((scores_BK.argmax(axis=1) == codes_B).mean())
    commonest = float(np.bincount(codes_B).max()) / len(codes_B)
    if accuracy < commonest + MIN_GAIN * (1.0 - commonest):
        remark = (
            f"a simple model is right in {accuracy:.1%} of the rows, the commonest class is {commonest:.1%} of them"
        )
        return LabelReview(checked=0, count=0, accuracy=accuracy, remark=remark)
    suggested_B = confident_class(scores_BK, codes_B)
    names = [data.label_names[index] for index in present]
    return LabelReview(
        checked=len(rows_I),
        count=int((suggested_B != codes_B).sum()),
        accuracy=accuracy,
        rows=tuple(
            SuspiciousLabel(
                row=int(rows_I[index]),
                label=names[codes_B[index]],
                suggested=names[suggested_B[index]],
                confidence=float(scores_BK[index, suggested_B[index]]),
                label_confidence=float(scores_BK[index, codes_B[index]]),
            )
            for index in _worst(scores_BK, codes_B, suggested_B)
        ),
    )


def _worst(scores_BK: NDArray[np.float64], labels_B: Labels, suggested_B: Labels) -> Indices:
    """Rows with another suggestion, the widest margin between the likeliest class and the label first."""
    suspicious_I = np.flatnonzero(suggested_B != labels_B)
    margin_B = scores_BK[np.arange(len(labels_B)), labels_B] - scores_BK.max(axis=1)
    return suspicious_I[np.argsort(margin_B[suspicious_I], kind="stable")][:MAX_LISTED]


def _require_sklearn() -> None:
    if find_spec("sklearn") is None:
        raise MissingExtraError.for_extra("trainer", "scikit-learn")


def confident_class(scores_BK: NDArray[np.float64], labels_B: Labels) -> Labels:
    """Equation 1: the likeliest of the classes whose usual confidence the row reaches; its label where it reaches none.

    `scores_BK` are out-of-fold probabilities; every class has a row.
    """
    own_B = scores_BK[np.arange(len(labels_B)), labels_B]
    usual_K = np.bincount(labels_B, own_B, minlength=scores_BK.shape[1]) / np.bincount(labels_B)
    reached_BK = np.where(scores_BK >= usual_K, scores_BK, -1.0)
    return np.where(reached_BK.max(axis=1) >= 0.0, reached_BK.argmax(axis=1), labels_B)


def _sample(data: Dataset, rng: np.random.Generator, max_rows: int) -> Indices:
    """At most `max_rows` rows, evenly over the classes' own shares, of classes that have two or more."""
    counts_K = np.bincount(data.labels_B, minlength=len(data.label_names))
    rows_I = np.flatnonzero(counts_K[data.labels_B] >= 2)
    if len(rows_I) <= max_rows:
        return rows_I
    kept = []
    for label in np.flatnonzero(counts_K >= 2):
        class_I = np.flatnonzero(data.labels_B == label)
        kept.append(rng.permutation(class_I)[: max(2, max_rows * len(class_I) // len(rows_I))])
    return np.sort(np.concatenate(kept))


def _flat(inputs_B: NDArray[Any]) -> NDArray[np.float32]:
    """Rows of numbers; what is missing becomes the mean of its column."""
    flat_BN = inputs_B.reshape(len(inputs_B), -1)
    flat_BN = flat_BN[:, :: -(-flat_BN.shape[1] // MAX_INPUTS)].astype(np.float32)
    known_BN = np.isfinite(flat_BN)
    if known_BN.all():
        return flat_BN
    mean_N = np.where(known_BN, flat_BN, 0.0).sum(axis=0) / np.maximum(1, known_BN.sum(axis=0))
    return np.where(known_BN, flat_BN, mean_N).astype(np.float32)


def _out_of_fold(inputs_BN: NDArray[np.float32], labels_B: Labels, seed: int) -> NDArray[np.float64]:
    """Probabilities of each row under a model that did not see its label; a fit stops after MAX_ITERATIONS."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    folds = StratifiedKFold(max(2, min(FOLDS, int(np.bincount(labels_B).min()))), shuffle=True, random_state=seed)
    model = LogisticRegression(C=0.1, max_iter=MAX_ITERATIONS, tol=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        scores_BK = cross_val_predict(model, _compressed(inputs_BN, seed), labels_B, cv=folds, method="predict_proba")
    return np.asarray(scores_BK, np.float64)


def _compressed(inputs_BN: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Standardized, rotated to at most MAX_COMPONENTS principal axes, standardized; labels play no part in it."""
    from sklearn.decomposition import PCA
    from sklearn.preprocessing import StandardScaler

    components = min(MAX_COMPONENTS, *inputs_BN.shape)
    rotated_BN = PCA(components, svd_solver="randomized", random_state=seed).fit_transform(
        StandardScaler().fit_transform(inputs_BN)
    )
    return np.asarray(StandardScaler().fit_transform(rotated_BN), np.float32)
