"""What the first reading of a table learns of each column, batch by batch, in memory that does not grow with its rows.

A column of a typed file (Parquet) is what its type says; a column of text without types (CSV) is numbers where every
value is one, words where none is, and mixed where some are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_rows.arrow_values import coded_words, is_text, number_mask, numbers
from trainer.sources.limits import MAX_CATEGORIES

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Spot:
    """A value and where it stands: rows of a file count from 0, without the header."""

    file: str
    row: int
    value: str

    def __str__(self) -> str:
        """The spot in words."""
        return f"{self.value[:40]!r} in {self.file} row {self.row:,}"


@dataclass(slots=True)
class ColumnScan:
    """Counts of numbers, words and missing rows of one column, distinct words, and where the first of each stands.

    `collect` keeps the words of a column of numbers as well; `max_words` ends the keeping, one above it.
    """

    name: str
    collect: bool = False
    max_words: int = MAX_CATEGORIES
    number_count: int = 0
    word_count: int = 0
    missing_count: int = 0
    first_number: Spot | None = None
    first_word: Spot | None = None
    first_missing: Spot | None = None
    words: dict[str, int] = field(default_factory=dict)
    first_words: dict[str, Spot] = field(default_factory=dict)

    @property
    def row_count(self) -> int:
        """Rows seen."""
        return self.number_count + self.word_count + self.missing_count

    @property
    def has_too_many_words(self) -> bool:
        """Whether `words` was cut short."""
        return len(self.words) > self.max_words

    def add(self, array_B: Any, *, typed: bool, file: str, first_row: int) -> None:
        """Counts a batch that starts at `first_row` of `file`."""
        missing_B = np.asarray(array_B.is_null(nan_is_null=True).to_numpy(zero_copy_only=False), np.bool_)
        number_B, word_B = _kinds(array_B, missing_B, typed=typed)
        self.number_count += int(number_B.sum())
        self.word_count += int(word_B.sum())
        self.missing_count += int(missing_B.sum())
        self.first_number = self.first_number or _first(array_B, number_B, file, first_row)
        self.first_word = self.first_word or _first(array_B, word_B, file, first_row)
        self.first_missing = self.first_missing or _first(array_B, missing_B, file, first_row)
        if (self.collect or word_B.any()) and not self.has_too_many_words:
            self._collect(array_B, file, first_row)

    def _collect(self, array_B: Any, file: str, first_row: int) -> None:
        for word, count, row in coded_words(array_B).counts():
            self.words[word] = self.words.get(word, 0) + count
            self.first_words.setdefault(word, Spot(file, first_row + row, word))
            if self.has_too_many_words:
                return


def _kinds(array_B: Any, missing_B: NDArray[np.bool_], *, typed: bool) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows hold numbers and which hold words."""
    none_B = np.zeros(len(array_B), np.bool_)
    if not is_text(array_B):
        return ~missing_B, none_B
    if typed:
        return none_B, ~missing_B
    try:
        numbers(array_B)
    except ValueError:
        number_B, word_B = number_mask(array_B)
        return number_B & ~missing_B, word_B & ~missing_B
    return ~missing_B, none_B


def _first(array_B: Any, mask_B: NDArray[np.bool_], file: str, first_row: int) -> Spot | None:
    if not mask_B.any():
        return None
    row = int(mask_B.argmax())
    return Spot(file, first_row + row, str(array_B[row].as_py()))
