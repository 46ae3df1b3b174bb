"""What is wrong with data, in words, with a count and examples. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One way in which data differ from their schema. `rows` are examples, not all of `count`.

    A `fatal` one stops a training; one that is not `waivable` does so whoever accepts it.
    """

    kind: str
    count: int
    words: str
    rows: tuple[int, ...] = ()
    fatal: bool = True
    waivable: bool = True

    def __str__(self) -> str:
        """The anomaly as a line for people."""
        where = f" (rows {', '.join(map(str, self.rows))}{', ...' if self.count > len(self.rows) else ''})"
        return f"{self.kind}: {self.words}{where if self.rows else ''}"


def examples(mask_B: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first rows that are marked."""
    return tuple(int(row) for row in np.flatnonzero(mask_B)[:MAX_EXAMPLES])
