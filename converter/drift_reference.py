"""The reference profile: what the signals of the float model look like on held-out data. Pure.

Half of a histogram's edges are quantiles of the held-out signal (resolution where the data are), half are spaced evenly
over what the signal can reach (resolution where drifted data may go); two of them enclose the held-out extremes, so
that what was never seen falls into bins of its own. Legend: B rows, K classes, S signals.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.errors import ContractError
from fleet_contract.reference_profile import HistogramReference, ReferenceProfile, SignalReference
from fleet_contract.signals import HISTOGRAM_BINS, HISTOGRAM_SIGNALS, frame_signals, signal_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EVEN_EDGES: Final = 13
_QUANTILE_EDGES: Final = 16
_INNER_EDGES: Final = HISTOGRAM_BINS - 1
_REACH_STD: Final = 3.0
"""How far beyond the held-out extremes edges are laid for a signal without natural limits."""


def build_profile(
    inputs_B: NDArray[np.float32], scores_BK: NDArray[np.float32], labels_B: NDArray[np.int64] | None
) -> ReferenceProfile:
    """The profile of preprocessed held-out inputs, their float scores and, where they have any, their labels.

    Raises:
        ContractError: inputs, scores and labels are not of the same rows.
    """
    _check_rows(len(inputs_B), len(scores_BK), len(inputs_B) if labels_B is None else len(labels_B))
    class_count = scores_BK.shape[1]
    names = signal_names(class_count)
    signals_BS = frame_signals(inputs_B, scores_BK).astype(np.float64)
    columns = {name: signals_BS[:, index] for index, name in enumerate(names)}
    histograms = tuple(_histogram(name, columns[name], class_count) for name in HISTOGRAM_SIGNALS)
    confidence = next(each for each in histograms if each.signal == "confidence")
    predicted_B = scores_BK.argmax(1)
    right_B = None if labels_B is None else predicted_B == labels_B
    return ReferenceProfile(
        sample_count=len(inputs_B),
        signals=tuple(
            SignalReference(name=name, mean=float(column_B.mean()), std=float(column_B.std()))
            for name, column_B in columns.items()
        ),
        histograms=histograms,
        class_shares=tuple((np.bincount(predicted_B, minlength=class_count) / len(inputs_B)).tolist()),
        accuracy_by_confidence=_accuracy_by_bin(columns["confidence"], right_B, confidence.edges),
    )


def _check_rows(inputs: int, scores: int, labels: int) -> None:
    if not inputs or not inputs == scores == labels:
        raise ContractError.mismatch(
            "reference profile: rows",
            got=f"{inputs} inputs, {scores} scores, {labels} labels",
            expected="every held-out row once in each, and at least one",
        )


def _histogram(name: str, values_B: NDArray[np.float64], class_count: int) -> HistogramReference:
    edges = inner_edges(values_B, *_limits(name, values_B, class_count))
    counts = np.bincount(_bins(values_B, edges), minlength=HISTOGRAM_BINS)
    return HistogramReference(signal=name, edges=edges, shares=tuple((counts / len(values_B)).tolist()))


def _limits(name: str, values_B: NDArray[np.float64], class_count: int) -> tuple[float, float]:
    """Between which values the signal can lie, or reasonably does; never inside what was seen."""
    low, high = float(values_B.min()), float(values_B.max())
    if name == "confidence":
        return (min(low, 1.0 / class_count if class_count > 1 else 0.0), 1.0)
    if name == "entropy":
        return (0.0, max(high, float(np.log(class_count)), 1.0))
    reach = _REACH_STD * max(float(values_B.std()), 1e-3)
    return (low - reach, high + reach)


def inner_edges(values_B: NDArray[np.float64], low: float, high: float) -> tuple[float, ...]:
    """HISTOGRAM_BINS - 1 strictly ascending edges inside (low, high), every one a float32.

    Where the limits leave room, one edge is at the least value and one just above the greatest.
    """
    even = np.linspace(low, high, _EVEN_EDGES + 2)[1:-1]
    quantiles = np.quantile(values_B, np.arange(1, _QUANTILE_EDGES + 1) / (_QUANTILE_EDGES + 1))
    extremes = [np.float32(values_B.min()), np.nextafter(np.float32(values_B.max()), np.float32(np.inf))]
    edges = np.unique(np.concatenate([even, quantiles, extremes]).astype(np.float32))
    edges = edges[(edges > np.float32(low)) & (edges < np.float32(high))]
    while len(edges) < _INNER_EDGES:
        bounded = np.concatenate([[np.float32(low)], edges, [np.float32(high)]])
        widest = int(np.diff(bounded).argmax())
        edges = np.sort(np.append(edges, (bounded[widest] + bounded[widest + 1]) / 2)).astype(np.float32)
    return tuple(float(edge) for edge in edges)


def _bins(values_B: NDArray[np.float64], edges: tuple[float, ...]) -> NDArray[np.intp]:
    return np.searchsorted(np.asarray(edges), values_B, side="right")


def _accuracy_by_bin(
    confidence_B: NDArray[np.float64], right_B: NDArray[np.bool_] | None, edges: tuple[float, ...]
) -> tuple[float, ...]:
    """Accuracy of the rows in each bin of confidence; the bin's middle where there is none, or no labels."""
    middles = [(low + high) / 2 for low, high in pairwise((0.0, *edges, 1.0))]
    if right_B is None:
        return tuple(middles)
    bins_B = _bins(confidence_B, edges)
    return tuple(
        float(right_B[bins_B == index].mean()) if (bins_B == index).any() else middle
        for index, middle in enumerate(middles)
    )
