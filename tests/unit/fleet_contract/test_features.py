"""Rows by name to numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fleet_contract.errors import ContractError
from fleet_contract.features import category_word, encode_rows
from fleet_contract.release import Feature

SIZE = Feature(name="size")
COLOUR = Feature(name="colour", categories=("blue", "red"))


def test_rows_come_in_the_order_of_the_features() -> None:
    """Whatever the order of the columns; others are ignored."""
    columns: dict[str, Any] = {"extra": ["x", "y"], "colour": ["red", "blue"], "size": np.asarray([1, 2], np.int64)}
    rows_BF = encode_rows(columns, [SIZE, COLOUR])
    assert rows_BF.dtype == np.float32
    assert rows_BF.tolist() == [[1.0, 1.0], [2.0, 0.0]]


def test_what_is_missing_is_nan() -> None:
    """None and NaN alike, in numbers and in categories."""
    columns: dict[str, Any] = {"size": [None, float("nan"), 3], "colour": [None, float("nan"), "red"]}
    assert np.isnan(encode_rows(columns, [SIZE, COLOUR])).tolist() == [[True, True], [True, True], [False, False]]


def test_a_number_beyond_float32_is_infinite() -> None:
    """No warning, and every later check of finite values sees it."""
    assert np.isinf(encode_rows({"size": [1e300]}, [SIZE])).all()


@pytest.mark.parametrize(
    ("value", "word"),
    [(3, "3"), (3.0, "3"), (3.5, "3.5"), (np.float32(2), "2"), (True, "true"), (np.False_, "false"), ("x ", "x ")],
)
def test_values_have_one_word(value: object, word: str) -> None:
    """The same category may come as a whole number, as a float or as text."""
    assert category_word(value) == word


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown category": (
        {"size": [1, 2, 3], "colour": ["red", "puce", "puce"]},
        "2 rows hold categories that are not known, for instance 'puce' in row 1"),
    "a missing column": ({"size": [1]}, "['colour']"),
    "columns of two lengths": ({"size": [1, 2], "colour": ["red"]}, "column 'colour': got '1 rows', expected 2"),
    "a word for a number": ({"size": [1, "big"], "colour": ["red", "red"]}, "column 'size': row 1: got 'big'"),
    "a list for a number": ({"size": [1, [2]], "colour": ["red", "red"]}, "column 'size': row 1"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses(columns: dict[str, Any], words: str) -> None:
    """Column, row and value are named."""
    with pytest.raises(ContractError) as caught:
        encode_rows(columns, [SIZE, COLOUR])
    assert words in caught.value.message
