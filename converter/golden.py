"""Golden vectors: real held-out inputs with the float model's scores; a device runs them before it trusts a variant.

Chosen are, in this order: the rows at the edges of the input range (least and greatest minimum, maximum, mean and
standard deviation), the rows of which the float model is least and most sure and those nearest to a tie, one row of
every class and of every slice, and rows of each class in turn until there are enough.

A device must come within a variant's tolerance, not to the same bytes: across processors and runtime versions int8
scores differ by up to 9 steps and float scores by about 1e-6 (docs/measurements.md). A device's agreement is strict
(the same highest score), so rows whose two highest scores are that near count as rows that may flip there.
Pure. Legend: B rows, N values of a row, K scores, G golden rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from converter.proof.parity import TIE
from fleet_contract.release import MIN_GOLDEN_VECTORS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from converter.recipe import Recipe
    from fleet_contract.tensors import TensorSpec

INT8_MARGIN_STEPS: Final = 16
"""Nearly twice the 9 steps that were seen."""
INT8_ERROR_FACTOR: Final = 1.25
INT8_ROW_MARGIN: Final = 2
INT8_FLIP_STEPS: Final = 2
"""Two scores that are that near may change places on another board: each was seen to move by a step."""
FLOAT_MARGIN: Final = 1e-4
FLOAT_ERROR_FACTOR: Final = 10.0
FLOAT_ROW_MARGIN: Final = 1
SCORE_STEP: Final = 1.0 / 256.0
"""One int8 step of a score where the edge itself is float."""
NEAR_TIE_ROWS: Final = 4
SURE_ROWS: Final = 2
"""Least and most sure rows, each."""


def golden_rows(
    inputs_B: NDArray[np.float32],
    reference_BK: NDArray[np.float32],
    labels_B: NDArray[np.int64] | None,
    slices: Mapping[str, NDArray[np.bool_]],
    *,
    classes: bool = True,
) -> NDArray[np.intp]:
    """Rows for the golden set, ascending; at least MIN_GOLDEN_VECTORS as far as there are rows.

    Args:
        inputs_B: the held-out inputs as the model eats them.
        reference_BK: the float model's scores of them.
        labels_B: their classes; None takes what the float model says.
        slices: rows by the name of a slice; each is covered.
        classes: False where the outputs are not class scores; then rows are spread over the set instead.
    """
    stratum_B = _strata(reference_BK, labels_B, classes=classes)
    queues = [_spread(np.flatnonzero(stratum_B == stratum)) for stratum in np.unique(stratum_B)]
    covering = [
        *_edges(inputs_B),
        *_score_edges(reference_BK, classes=classes),
        *(queue[0] for queue in queues),
        *(_spread(np.flatnonzero(rows_B))[0] for rows_B in slices.values() if rows_B.any()),
    ]
    chosen = dict.fromkeys(covering)
    for row in _in_turn(queues):
        if len(chosen) >= max(MIN_GOLDEN_VECTORS, len(covering)):
            break
        chosen[row] = None
    return np.sort(np.array(list(chosen), dtype=np.intp))


def _strata(
    reference_BK: NDArray[np.float32], labels_B: NDArray[np.int64] | None, *, classes: bool
) -> NDArray[np.int64]:
    if not classes:
        return np.zeros(len(reference_BK), np.int64)
    return labels_B if labels_B is not None else reference_BK.argmax(1).astype(np.int64)


def _edges(inputs_B: NDArray[np.float32]) -> list[int]:
    """The first row with the least and with the greatest of each statistic of its values."""
    flat_BN = inputs_B.reshape(len(inputs_B), -1).astype(np.float64)
    statistics = (flat_BN.min(1), flat_BN.max(1), flat_BN.mean(1), flat_BN.std(1))
    return [int(row) for values_B in statistics for row in (values_B.argmin(), values_B.argmax())]


def _score_edges(reference_BK: NDArray[np.float32], *, classes: bool) -> list[int]:
    """Rows at the ends of what the float model answers."""
    if not classes:
        return _edges(reference_BK)
    ordered_BK = np.sort(reference_BK.astype(np.float64), axis=1)
    by_sureness = np.argsort(ordered_BK[:, -1], kind="stable")
    near = ordered_BK[:, -1] - ordered_BK[:, -2] if ordered_BK.shape[1] > 1 else ordered_BK[:, -1]
    near_tie = np.argsort(np.where(near > TIE, near, np.inf), kind="stable")[:NEAR_TIE_ROWS]
    return [int(row) for row in (*by_sureness[:SURE_ROWS], *by_sureness[::-1][:SURE_ROWS], *near_tie)]


def _in_turn(queues: Sequence[Sequence[int]]) -> Iterable[int]:
    """The first of each queue, then the second of each, until all are through."""
    for depth in range(max(len(queue) for queue in queues)):
        yield from (queue[depth] for queue in queues if depth < len(queue))


def _spread(rows: NDArray[np.intp]) -> list[int]:
    """The rows in an order whose every beginning covers them evenly: ends first, then halves, quarters."""
    order = np.argsort([_reversed_bits(index, len(rows)) for index in range(len(rows))], kind="stable")
    return [int(row) for row in rows[order]]


def _reversed_bits(index: int, count: int) -> int:
    width = max(1, (count - 1).bit_length())
    return int(f"{index:0{width}b}"[::-1], 2)


def absent_classes(labels_B: NDArray[np.int64] | None, labels: tuple[str, ...]) -> list[str]:
    """Labels that no held-out row has, so that no golden vector can; none where the rows have no labels."""
    if labels_B is None:
        return []
    present = set(labels_B.tolist())
    return [name for index, name in enumerate(labels) if index not in present]


def tolerance(
    recipe: Recipe, output: TensorSpec, scores_GK: NDArray[np.float32], reference_GK: NDArray[np.float32]
) -> float:
    """The bound on |score - reference| for a board that works: what was measured here, and room for other boards."""
    measured = float(np.abs(scores_GK - reference_GK).max())
    if recipe.exact:
        return FLOAT_ERROR_FACTOR * measured + FLOAT_MARGIN
    return INT8_ERROR_FACTOR * measured + INT8_MARGIN_STEPS * _step(output, reference_GK)


def least_agreement(
    recipe: Recipe, output: TensorSpec, scores_GK: NDArray[np.float32], reference_GK: NDArray[np.float32]
) -> float:
    """The least top-1 agreement for a board that works: what holds here, less what may flip there.

    Counted as a device does: the same highest score. Off come the rows near a tie, and a row or two more.
    """
    reach = 2 * FLOAT_MARGIN if recipe.exact else INT8_FLIP_STEPS * _step(output, reference_GK)
    agreeing_G = scores_GK.argmax(1) == reference_GK.argmax(1)
    firm = int((agreeing_G & (_margins(scores_GK) > reach)).sum())
    spare = FLOAT_ROW_MARGIN if recipe.exact else INT8_ROW_MARGIN
    return max(0, firm - spare) / len(reference_GK)


def _step(output: TensorSpec, reference_GK: NDArray[np.float32]) -> float:
    """One step of a quantized score; where the edge is float, of 256 over the scores' range and at least SCORE_STEP."""
    if output.quantized:
        return output.scale
    return max(SCORE_STEP, float(np.ptp(reference_GK)) / 256.0)


def _margins(scores_GK: NDArray[np.float32]) -> NDArray[np.float64]:
    """How far the highest score is above the second; infinite where there is only one."""
    if scores_GK.shape[1] < 2:
        return np.full(len(scores_GK), np.inf)
    ordered_GK = np.sort(scores_GK.astype(np.float64), axis=1)
    return ordered_GK[:, -1] - ordered_GK[:, -2]
