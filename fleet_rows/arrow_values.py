"""Arrow columns to numbers, words and times: the one place that knows pyarrow's types. Legend: B rows of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.features import category_word

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBER: Final = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$|^[+-]?(?i:inf|infinity|nan)$"


def is_text(array_B: Any) -> bool:
    """Whether the column holds strings, plain or as a dictionary."""
    return is_text_type(array_B.type)


def is_text_type(kind: Any) -> bool:
    """Whether a column of this Arrow type holds strings, plain or as a dictionary."""
    import pyarrow as pa

    inner = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(inner) or pa.types.is_large_string(inner) or pa.types.is_string_view(inner))


def is_usable(kind: Any) -> bool:
    """Whether a column of this Arrow type can be a feature or a label: numbers, truth values, text."""
    import pyarrow as pa

    of = pa.types
    inner = kind.value_type if of.is_dictionary(kind) else kind
    return any(
        test(inner)
        for test in (
            of.is_integer, of.is_floating, of.is_decimal, of.is_boolean, of.is_null,
            of.is_string, of.is_large_string, of.is_string_view,
        )
    )  # fmt: skip


def numbers(array_B: Any) -> NDArray[np.float64]:
    """The column as numbers, NaN where it is missing.

    Raises:
        ValueError: text that is not a number.
    """
    import pyarrow as pa

    try:
        real_B = _reals(array_B)
    except pa.ArrowInvalid as error:
        raise ValueError(str(error)) from error
    values_B: NDArray[np.float64] = real_B.to_numpy(zero_copy_only=False).astype(np.float64, copy=False)
    return values_B


def _reals(array_B: Any) -> Any:
    """Trimming costs more than reading, so text is trimmed only where it must be."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        return pc.cast(plain(array_B), pa.float64(), safe=False)
    except pa.ArrowInvalid:
        if not is_text(array_B):
            raise
        return pc.cast(_trimmed(array_B), pa.float64(), safe=False)


def number_mask(array_B: Any) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows of a text column are numbers, and which are there but are not."""
    import pyarrow.compute as pc

    there_B = pc.is_valid(array_B).to_numpy(zero_copy_only=False)
    matches = pc.fill_null(pc.match_substring_regex(_trimmed(array_B), NUMBER), fill_value=False)
    number_B = np.asarray(matches.to_numpy(zero_copy_only=False), np.bool_)
    return number_B, np.asarray(there_B & ~number_B, np.bool_)


@dataclass(frozen=True, slots=True)
class CodedWords:
    """A column of words: each distinct one once, and every row's place among them; the last stands for missing rows."""

    words_D: list[str | None]
    places_B: NDArray[np.int64]

    def counts(self) -> list[tuple[str, int, int]]:
        """Each word with how many rows hold it and the first that does."""
        counts_D = np.bincount(self.places_B, minlength=len(self.words_D)).tolist()
        first_D = np.zeros(len(self.words_D), np.int64)
        first_D[self.places_B[::-1]] = np.arange(len(self.places_B))[::-1]  # of equal places the last one stays
        found = zip(self.words_D, counts_D, first_D.tolist(), strict=True)
        return [(word, count, first) for word, count, first in found if word is not None and count]


def coded_words(array_B: Any) -> CodedWords:
    """The column as words, as they stand in vocabularies; only distinct values are looked at one by one."""
    coded = plain(array_B).dictionary_encode()
    words_D = [category_word(value) for value in coded.dictionary.to_pylist()]
    places_B = coded.indices.fill_null(len(words_D)).to_numpy(zero_copy_only=False)
    return CodedWords([*words_D, None], places_B.astype(np.int64))


def seconds(array_B: Any) -> NDArray[np.float64]:
    """The column as numbers that order rows: Unix seconds of dates and of ISO 8601 text, other numbers as they are.

    Raises:
        ValueError: text that is neither a number nor a date, or a row without a time.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if array_B.null_count:
        raise ValueError(f"{array_B.null_count} rows have no time")
    try:
        return numbers(_stamps(array_B)) if pa.types.is_temporal(array_B.type) else numbers(array_B)
    except (ValueError, pa.ArrowNotImplementedError):
        pass
    try:
        stamps = pc.cast(_trimmed(array_B), pa.timestamp("us"))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise ValueError(str(error)) from error
    return numbers(_stamps(stamps))


def _stamps(array_B: Any) -> Any:
    """Unix seconds of dates and timestamps."""
    import pyarrow as pa
    import pyarrow.compute as pc

    micros = pc.cast(pc.cast(array_B, pa.timestamp("us")), pa.int64())
    return pc.divide(pc.cast(micros, pa.float64()), 1e6)


def plain(array_B: Any) -> Any:
    """The column in one piece, its values themselves where it holds places in a dictionary."""
    import pyarrow as pa

    whole_B = array_B.combine_chunks() if isinstance(array_B, pa.ChunkedArray) else array_B
    return whole_B.dictionary_decode() if pa.types.is_dictionary(whole_B.type) else whole_B


def _trimmed(array_B: Any) -> Any:
    import pyarrow.compute as pc

    return pc.utf8_trim_whitespace(plain(array_B))
