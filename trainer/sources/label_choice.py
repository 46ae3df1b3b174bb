"""From what was seen in the label column to classes, and from its values to indices into them.

Rules: pure. Words are classes by name; whole numbers are classes in numeric order. Numbers with a fraction, or very
many different ones, are a quantity to be predicted, which a classifier cannot do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import DataError
from fleet_rows.arrow_values import coded_words, numbers
from trainer.sources.feature_choice import mixture
from trainer.sources.limits import MAX_CLASSES

if TYPE_CHECKING:
    from trainer.data.dataset import Labels
    from trainer.sources.column_scan import ColumnScan

ALWAYS_CLASSES: Final = 20
"""So many different whole numbers may be classes however few rows there are."""
MIN_ROWS_PER_NUMBER: Final = 10
"""With more different numbers than that, each must have about so many rows to be a class."""
MIN_ROWS_PER_WORD: Final = 2


@dataclass(frozen=True, slots=True)
class Classes:
    """Names of the classes; `numeric` when they are whole numbers."""

    names: tuple[str, ...]
    numeric: bool

    def index(self, array_B: Any) -> Labels:
        """The rows of the label column as indices into `names`.

        Raises:
            KeyError: a value that is no class.
        """
        if not self.numeric:
            return self._of_words(array_B)
        values_B, known_K = numbers(array_B), np.asarray(self.names, np.float64)
        labels_B = np.minimum(np.searchsorted(known_K, values_B), len(known_K) - 1)
        if not np.array_equal(known_K[labels_B], values_B):
            raise KeyError("a number that is no class")
        return labels_B.astype(np.int64)

    def _of_words(self, array_B: Any) -> Labels:
        coded = coded_words(array_B)
        place = {name: number for number, name in enumerate(self.names)}
        labels_D = np.asarray([place.get(word or "", -1) for word in coded.words_D], np.int64)
        labels_B = labels_D[coded.places_B]
        if (labels_B < 0).any():
            raise KeyError("a word that is no class")
        return labels_B


def choose_classes(scan: ColumnScan, *, source: str, declared: bool) -> Classes:
    """The classes of the label column; `declared` takes its values as words whatever they look like.

    Raises:
        DataError: rows without a label, both numbers and words, a quantity, or as many classes as rows.
    """
    where = f"{source}: label {scan.name!r}"
    if scan.missing_count:
        raise DataError(
            f"{where}: got {scan.missing_count:,} rows without one, the first in {_place(scan)}, expected none"
        )
    if not declared and (mixed := mixture(scan)):
        hint = f'to take them as words: categorical = ["{scan.name}"]'
        raise DataError(f"{source}: label {mixed}", hint=hint)
    if scan.word_count or declared:
        _require_few(scan, where, MIN_ROWS_PER_WORD, "they look like identifiers")
        return Classes(tuple(sorted(scan.words)), numeric=False)
    return _numeric_classes(scan, where)


def _numeric_classes(scan: ColumnScan, where: str) -> Classes:
    values = sorted({float(word) for word in scan.words})
    fraction = next((value for value in values if not value.is_integer()), None)
    if fraction is not None:
        raise DataError(
            f"{where}: got {fraction:g}, expected classes: this looks like a quantity (a regression target)",
            hint="edgeferry trains classifiers: cut the quantity into classes, or name another column",
        )
    _require_few(scan, where, MIN_ROWS_PER_NUMBER, "this looks like a quantity (a regression target)")
    return Classes(tuple(str(int(value)) for value in values), numeric=True)


def _require_few(scan: ColumnScan, where: str, rows_each: int, looks: str) -> None:
    limit = min(MAX_CLASSES, max(ALWAYS_CLASSES, scan.row_count // rows_each))
    if len(scan.words) > limit:
        raise DataError(
            f"{where}: got {'more than ' if scan.has_too_many_words else ''}{len(scan.words):,} different values in "
            f"{scan.row_count:,} rows, expected at most {limit:,} classes: {looks}",
            hint="name another column with [data] label, or cut the quantity into classes",
        )


def _place(scan: ColumnScan) -> str:
    spot = scan.first_missing
    return f"{spot.file} row {spot.row:,}" if spot else "an unknown row"
