"""Which parts of the input the model needs: accuracy when a part is shuffled among rows.

Parts are the features of a table, the channels of a series, and a grid of regions of an image. A part whose shuffling
costs nothing brings nothing; whoever pays for it (a sensor, a column, pixels) should know.
Rules: pure; the generator is an argument. Source: Breiman 2001, "Random Forests", section 10 (permutation importance).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from msgspec import Struct

from trainer.judging.baseline import evenly
from trainer.judging.evaluate import correct_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels

MAX_ROWS: Final = 500
MAX_PARTS: Final = 32
IMAGE_GRID: Final = 4


class PartImportance(Struct, frozen=True, kw_only=True):
    """A part of the input: the accuracy it costs to shuffle it, as a fraction; negative when it helped to."""

    part: str
    accuracy_drop: float


def part_importances(
    score_raw: Callable[[NDArray[Any]], NDArray[np.float32]],
    raw_B: NDArray[Any],
    labels_B: Labels,
    rng: np.random.Generator,
    names: Sequence[str] = (),
) -> tuple[PartImportance, ...]:
    """Every part with what it is worth on at most MAX_ROWS rows, the most important first.

    `names` are those of the entries of the last axis, where they have names.
    """
    rows_I = evenly(len(raw_B), MAX_ROWS)
    rows_B, truth_B = raw_B[rows_I], labels_B[rows_I]
    whole = float(correct_rows(score_raw(rows_B), truth_B).mean())
    found = []
    for name, where in parts_of(raw_B.shape[1:], names):
        shuffled_B = rows_B.copy()
        shuffled_B[(slice(None), *where)] = rows_B[rng.permutation(len(rows_B))][(slice(None), *where)]
        accuracy = float(correct_rows(score_raw(shuffled_B), truth_B).mean())
        found.append(PartImportance(part=name, accuracy_drop=whole - accuracy))
    return tuple(sorted(found, key=lambda part: -part.accuracy_drop))


def parts_of(shape: Sequence[int], names: Sequence[str] = ()) -> list[tuple[str, tuple[slice, ...]]]:
    """The parts of an input of that shape: a name, and slices along its axes."""
    if len(shape) >= 3:
        return _regions(shape)
    runs = np.array_split(np.arange(shape[-1]), min(MAX_PARTS, shape[-1]))
    before = (slice(None),) * (len(shape) - 1)
    word = "feature" if len(shape) == 1 else "channel"
    return [(_run_name(run, word, names), (*before, slice(int(run[0]), int(run[-1]) + 1))) for run in runs]


def _run_name(run: NDArray[np.int64], word: str, names: Sequence[str]) -> str:
    first, last = int(run[0]), int(run[-1])
    if names:
        return names[first] if first == last else f"{names[first]} to {names[last]}"
    return f"{word} {first}" if first == last else f"{word}s {first} to {last}"


def _regions(shape: Sequence[int]) -> list[tuple[str, tuple[slice, ...]]]:
    rows, columns = _cuts(shape[0]), _cuts(shape[1])
    return [
        (f"rows {up.start}-{up.stop - 1}, columns {left.start}-{left.stop - 1}", (up, left))
        for up in rows
        for left in columns
    ]


def _cuts(size: int) -> list[slice]:
    runs = np.array_split(np.arange(size), min(IMAGE_GRID, size))
    return [slice(int(run[0]), int(run[-1]) + 1) for run in runs]
