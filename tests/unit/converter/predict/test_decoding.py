"""From bytes to rows: what fits is exact, what does not is named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from converter.predict.decoding import decode_portion
from converter.predict.decoding_csv import _all_at_once, _row_by_row
from converter.predict.portions import ArrayForm, CsvForm, ImagesForm, Span, TableForm
from fleet_contract.errors import ContractError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2,))
BYTES = TensorSpec(name="x", dtype=DType.UINT8, shape=(2,))
CSV = CsvForm(header=("id", "a", "b"), columns=("a", "b"))


def span(count: int, start: int = 100) -> Span:
    """Rows from `start` on."""
    return Span(index=0, start=start, count=count)


def stream(columns: dict[str, Any]) -> bytes:
    """The columns as an Arrow stream."""
    table = pa.table(columns)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    content: bytes = sink.getvalue().to_pybytes()
    return content


def test_array_rows_come_back() -> None:
    """Values, order and element type of a plain array are kept."""
    rows = np.arange(8, dtype=np.uint8).reshape(4, 2)
    decoded = decode_portion(ArrayForm(dtype="|u1", shape=(2,)), BYTES, span(4), rows.tobytes())
    np.testing.assert_array_equal(decoded.raw_G, rows)
    assert decoded.raw_G.dtype == np.uint8
    assert decoded.bad == ()


def test_an_array_names_its_bad_element() -> None:
    """NaN in an array is named by row and element; the other rows are kept with their places."""
    rows = np.array([[1, 2], [3, np.nan], [5, 6]], np.float32)
    decoded = decode_portion(ArrayForm(dtype="<f4", shape=(2,)), FLOAT, span(3), rows.tobytes())
    assert [(bad.row, bad.column, bad.words) for bad in decoded.bad] == [
        (101, "element [1]", "got nan, expected a finite float32")
    ]
    assert decoded.places_G.tolist() == [0, 2]


def test_an_array_of_another_length_is_refused() -> None:
    """A payload that does not hold its rows is nobody's prediction."""
    with pytest.raises(ContractError, match="3 values"):
        decode_portion(ArrayForm(dtype="<f4", shape=(2,)), FLOAT, span(2), np.zeros(3, np.float32).tobytes())


@pytest.mark.parametrize(
    ("value", "words"),
    [("256", "got 256.0"), ("-1", "got -1.0"), ("1.5", "got 1.5"), ("1e400", "got inf"), ("nan", "got nan")],
)
def test_a_whole_number_input_takes_no_others(value: str, words: str) -> None:
    """What a uint8 cannot hold is named, never wrapped or cut."""
    decoded = decode_portion(CSV, BYTES, span(1), f"x,1,{value}\n".encode())
    assert [(bad.row, bad.column) for bad in decoded.bad] == [(100, "b")]
    assert decoded.bad[0].words.startswith(words)


def test_a_float_input_takes_no_value_beyond_its_range() -> None:
    """A float64 that float32 cannot hold is named instead of becoming infinite."""
    decoded = decode_portion(CSV, FLOAT, span(1), b"x,1,1e300\n")
    assert [bad.column for bad in decoded.bad] == ["b"]


@pytest.mark.parametrize(
    ("record", "column", "words"),
    [
        ("x,1", "", "got 2 columns, expected 3"),
        ("x,1,2,3", "", "got 4 columns, expected 3"),
        ("x,,2", "a", "got nothing, expected a number"),
        ("x,1,two", "b", "got 'two', expected a number"),
        ("x,1_0,2", "a", "got '1_0', expected a number"),
    ],
)
def test_a_faulty_record_is_named_and_its_neighbours_are_kept(record: str, column: str, words: str) -> None:
    """A record that is no row of numbers costs itself only."""
    decoded = decode_portion(CSV, FLOAT, span(3), f"x,1,2\n{record}\nx,3,4\n".encode())
    assert [(bad.row, bad.column, bad.words) for bad in decoded.bad] == [(101, column, words)]
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [3, 4]], np.float32))


def test_csv_text_columns_may_hold_breaks_and_delimiters() -> None:
    """A quoted field is one field, whatever is in it."""
    decoded = decode_portion(CSV, FLOAT, span(2), b'"a,\nb",1,2\n"say ""no""",3,4\n')
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [3, 4]], np.float32))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(allow_nan=False), st.integers(-(2**60), 2**60)), min_size=1, max_size=20))
def test_both_ways_to_read_csv_agree(rows: list[tuple[float, int]]) -> None:
    """Reading all at once and row by row give the same numbers, so a fault nearby changes nothing."""
    payload = "".join(f"x,{a!r},{b}\n" for a, b in rows).encode()
    at_once = _all_at_once(CSV, span(len(rows)), payload)
    by_row, bad = _row_by_row(CSV, span(len(rows)), payload)
    assert bad == {}
    assert at_once is not None
    np.testing.assert_array_equal(at_once, by_row)


def test_a_table_names_missing_values() -> None:
    """A null is named by row and column, the first of a row only."""
    payload = stream({"a": [1, None, 3], "b": [None, None, 0.5]})
    decoded = decode_portion(TableForm(columns=("a", "b")), FLOAT, span(3), payload)
    assert [(bad.row, bad.column) for bad in decoded.bad] == [(100, "b"), (101, "a")]
    np.testing.assert_array_equal(decoded.raw_G, np.array([[3, 0.5]], np.float32))


def test_a_list_column_is_a_row_of_values() -> None:
    """Lists of the right length are rows; others are named."""
    payload = stream({"x": [[1.0, 2.0], [3.0], None, [5.0, None], [7.0, 8.0]]})
    decoded = decode_portion(TableForm(columns=("x",)), FLOAT, span(5), payload)
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [7, 8]], np.float32))
    assert [(bad.row, bad.words) for bad in decoded.bad] == [
        (101, "got a list of 1, expected 2 numbers"),
        (102, "got nothing, expected a list of numbers"),
        (103, "got a list with a missing number, expected none"),
    ]


def test_images_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    """Grey images become rows; another size, a damaged file and 16 bits are named and not resized."""
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    Image.fromarray(pixels.T.copy()).save(tmp_path / "turned.png")
    Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "deep.png")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    names = ["broken.png", "deep.png", "good.png", "turned.png"]
    raw = TensorSpec(name="x", dtype=DType.UINT8, shape=(2, 3, 1))
    decoded = decode_portion(ImagesForm(folder=str(tmp_path)), raw, span(4), "\0".join(names).encode())
    np.testing.assert_array_equal(decoded.raw_G, pixels[np.newaxis, ..., np.newaxis])
    assert decoded.keys == tuple(names)
    assert [bad.row for bad in decoded.bad] == [100, 101, 103]
    assert "mode I;16" in decoded.bad[1].words
    assert decoded.bad[2].words == "got an image of 2x3 pixels, expected 3x2"
