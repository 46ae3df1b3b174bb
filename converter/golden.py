"""Golden vectors: real held-out inputs with the float model's scores; a device runs them before it trusts a variant.

A device must come within a variant's tolerance, not to the same bytes: across processors and runtime versions int8
scores differ by up to 9 steps and float scores by about 1e-6 (docs/measurements.md).
Pure. Legend: B rows, K classes, G golden rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from converter.parity import agreement
from fleet_contract.release import MIN_GOLDEN_VECTORS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.recipe import Recipe
    from fleet_contract.tensors import TensorSpec

INT8_MARGIN_STEPS: Final = 16
"""Nearly twice the 9 steps that were seen."""
INT8_ERROR_FACTOR: Final = 1.25
INT8_ROW_MARGIN: Final = 2
FLOAT_MARGIN: Final = 1e-4
FLOAT_ERROR_FACTOR: Final = 10.0
FLOAT_ROW_MARGIN: Final = 1
SCORE_STEP: Final = 1.0 / 256.0
"""One int8 step of a score where the edge itself is float."""


def golden_rows(labels_B: NDArray[np.int64], class_count: int) -> NDArray[np.intp]:
    """Rows for the golden set, ascending: each class in turn gives rows spread over its held-out ones.

    As many as MIN_GOLDEN_VECTORS or classes, whichever is more, as far as there are rows.
    """
    wanted = min(len(labels_B), max(MIN_GOLDEN_VECTORS, class_count))
    queues = [_spread(np.flatnonzero(labels_B == label)) for label in range(class_count)]
    chosen: list[int] = []
    depth = 0
    while len(chosen) < wanted:
        chosen.extend(queue[depth] for queue in queues if depth < len(queue))
        depth += 1
    return np.sort(np.array(chosen[:wanted], dtype=np.intp))


def _spread(rows: NDArray[np.intp]) -> list[int]:
    """The rows in an order whose every beginning covers them evenly: ends first, then halves, quarters."""
    order = np.argsort([_reversed_bits(index, len(rows)) for index in range(len(rows))], kind="stable")
    return [int(row) for row in rows[order]]


def _reversed_bits(index: int, count: int) -> int:
    width = max(1, (count - 1).bit_length())
    return int(f"{index:0{width}b}"[::-1], 2)


def absent_classes(labels_B: NDArray[np.int64], labels: tuple[str, ...]) -> list[str]:
    """Labels that no held-out row has, so that no golden vector can."""
    present = set(labels_B.tolist())
    return [name for index, name in enumerate(labels) if index not in present]


def tolerance(
    recipe: Recipe, output: TensorSpec, scores_GK: NDArray[np.float32], reference_GK: NDArray[np.float32]
) -> float:
    """The bound on |score - reference| for a board that works: what was measured here, and room for other boards."""
    measured = float(np.abs(scores_GK - reference_GK).max())
    if not recipe.exact:
        step = output.scale if output.quantized else SCORE_STEP
        return INT8_ERROR_FACTOR * measured + INT8_MARGIN_STEPS * step
    return FLOAT_ERROR_FACTOR * measured + FLOAT_MARGIN


def least_agreement(recipe: Recipe, scores_GK: NDArray[np.float32], reference_GK: NDArray[np.float32]) -> float:
    """The least top-1 agreement for a board that works: what was measured here, less a row or two near a tie."""
    margin = FLOAT_ROW_MARGIN if recipe.exact else INT8_ROW_MARGIN
    return max(0.0, agreement(scores_GK, reference_GK) - margin / len(reference_GK))
