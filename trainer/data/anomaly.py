"""What is wrong with data, in words, with a count and examples. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.places import Places

MAX_EXAMPLES: Final = 5


@dataclass(frozen=True, slots=True)
class Anomaly:
    """One way in which data differ from their schema. `rows` are examples, not all of `count`.

    `columns` say in which column of each of these rows, where `words` do not; `places` name them in the files that the
    data were read from, where those are known.
    A `fatal` one stops a training; one that is not `waivable` does so whoever accepts it.
    """

    kind: str
    count: int
    words: str
    rows: tuple[int, ...] = ()
    columns: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    fatal: bool = True
    waivable: bool = True

    def __str__(self) -> str:
        """The anomaly as a line for people."""
        examples = "; ".join(self.places) or f"rows {', '.join(map(str, self.rows))}"
        where = f" ({examples}{', ...' if self.count > len(self.rows) else ''})"
        return f"{self.kind}: {self.words}{where if self.rows else ''}"

    def located(self, places: Places | None) -> Anomaly:
        """The same, with the names of its rows in the files."""
        if places is None:
            return self
        columns = [f", column {name!r}" for name in self.columns] or [""] * len(self.rows)
        named = (f"{places.name(row)}{column}" for row, column in zip(self.rows, columns, strict=True))
        return replace(self, places=tuple(named))


def examples(mask_B: NDArray[np.bool_]) -> tuple[int, ...]:
    """The first rows that are marked."""
    return tuple(int(row) for row in np.flatnonzero(mask_B)[:MAX_EXAMPLES])
