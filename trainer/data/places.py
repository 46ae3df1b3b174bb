"""Where the rows of a data set stand in what they were read from, for people who have to mend them. Pure.

Rules: a source is one part or several (files), whose rows follow one another; what is kept is small, the names of the
parts and their first rows, and, of a selection, the number of each row. Legend: B rows, I row indices, P parts.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Places:
    """Parts by name with the number of each one's first row and that after the last; `rows_B` is None for all rows."""

    names_P: tuple[str, ...]
    begins_P: tuple[int, ...]
    end: int
    rows_B: Indices | None = None

    @classmethod
    def of(cls, names_P: Sequence[str], counts_P: Sequence[int]) -> Places:
        """All rows of parts with so many rows each."""
        *begins, end = accumulate(counts_P, initial=0)
        return cls(tuple(names_P), tuple(begins), end)

    def at(self, rows_I: Indices) -> Places:
        """The places of these rows, in this order."""
        return replace(self, rows_B=np.asarray(rows_I, np.int64) if self.rows_B is None else self.rows_B[rows_I])

    def followed_by(self, name: str, count: int) -> Places:
        """The same, with another part after the others."""
        more_B = np.arange(self.end, self.end + count)
        rows_B = None if self.rows_B is None else np.concatenate([self.rows_B, more_B])
        return Places((*self.names_P, name), (*self.begins_P, self.end), self.end + count, rows_B)

    def name(self, row: int) -> str:
        """`march.csv row 12`; a part of a single row is named alone."""
        number = row if self.rows_B is None else int(self.rows_B[row])
        part = bisect_right(self.begins_P, number) - 1
        begin, end = self.begins_P[part], (*self.begins_P, self.end)[part + 1]
        return self.names_P[part] if end - begin == 1 else f"{self.names_P[part]} row {number - begin:,}"
