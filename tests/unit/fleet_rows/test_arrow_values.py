"""Arrow columns as words: each distinct value once, whatever the column's type."""

from __future__ import annotations

from typing import Any

import pytest

from fleet_contract.features import category_word
from fleet_rows.arrow_values import coded_words

COLUMNS: dict[str, tuple[list[Any], str]] = {
    "text": (["b", None, "a", "b", ""], "string"),
    "long text": (["b", None, "a", "b"], "large_string"),
    "fractions": ([1.0, 2.5, None, float("nan"), 1.0], "float64"),
    "whole numbers": ([7, None, 7, 1], "int64"),
    "truth values": ([True, None, False, True], "bool_"),
    "nothing": ([None, None], "string"),
    "no rows": ([], "string"),
}


@pytest.mark.parametrize("encoded", [False, True], ids=["plain", "as a dictionary"])
@pytest.mark.parametrize(("values", "kind"), COLUMNS.values(), ids=COLUMNS)
def test_each_row_has_the_word_of_its_value(values: list[Any], kind: str, *, encoded: bool) -> None:
    """As if every value were looked at one by one, also in a part of a column."""
    import pyarrow as pa

    array_B = pa.array(values, getattr(pa, kind)())
    whole_B = array_B.dictionary_encode() if encoded else array_B
    for begin in (0, 1):
        coded = coded_words(whole_B.slice(begin))
        words = [coded.words_D[place] for place in coded.places_B]
        assert words == [category_word(value) for value in values[begin:]]


def test_words_are_counted_with_their_first_row() -> None:
    """Missing rows count for nothing, and neither do words of a dictionary that no row holds."""
    import pyarrow as pa

    array_B = pa.array(["unused", "b", None, "a", "b"]).dictionary_encode().slice(1)
    assert sorted(coded_words(array_B).counts()) == [("a", 1, 2), ("b", 2, 0)]
