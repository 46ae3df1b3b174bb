"""Chunks as columns of the result: key, label, confidence, and all scores where they are asked for. Pure.

A release without labels has no label and no confidence: its numbers are the result, as `output_0`, `output_1`, ...
Legend: B rows of a chunk, K scores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from converter.predict.chunk import Chunk

LABEL: Final = "label"
CONFIDENCE: Final = "confidence"


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a result has. `key` is `row` or `file`; `scores` counts those of a row."""

    key: str
    labels: tuple[str, ...]
    scores: int
    all_scores: bool

    @property
    def score_names(self) -> tuple[str, ...]:
        """The columns of scores, none where they are not asked for."""
        if not self.labels:
            return tuple(f"output_{number}" for number in range(self.scores))
        return tuple(f"score_{label}" for label in self.labels) if self.all_scores else ()


@dataclass(frozen=True, slots=True)
class Columns:
    """The result of one chunk. `absent_B` are rows without a prediction; `label_B` holds indices."""

    key_B: NDArray[np.int64] | NDArray[np.str_]
    absent_B: NDArray[np.bool_]
    label_B: NDArray[np.int64]
    confidence_B: NDArray[np.float32]
    scores_BK: NDArray[np.float32]


def columns(chunk: Chunk, start: int) -> Columns:
    """The columns of a chunk whose first row is row `start` of the data."""
    absent_B = chunk.bad_mask(start)
    scores_BK = np.where(absent_B[:, np.newaxis], np.float32(0), chunk.scores_BK)
    count = len(scores_BK)
    key_B = np.arange(start, start + count, dtype=np.int64) if chunk.keys is None else np.array(chunk.keys, np.str_)
    return Columns(key_B, absent_B, scores_BK.argmax(1).astype(np.int64), scores_BK.max(1), scores_BK)
