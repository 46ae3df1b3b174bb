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
from converter.predict.portions import ArrayForm, CsvForm, ImagesForm, Span, TableForm
from fleet_contract.errors import ContractError
from fleet_contract.release import Feature, ImageInput
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

FLOAT = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2,))
BYTES = TensorSpec(name="x", dtype=DType.UINT8, shape=(2,))
A, B = Feature(name="a"), Feature(name="b")
COLOUR = Feature(name="colour", categories=("blue", "red"))
CSV = CsvForm(columns=(A, B))
HEADER = b"id,a,b\n"


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
    """Infinity in an array is named by row and element; the other rows are kept with their places."""
    rows = np.array([[1, 2], [3, np.inf], [5, np.nan]], np.float32)
    decoded = decode_portion(ArrayForm(dtype="<f4", shape=(2,)), FLOAT, span(3), rows.tobytes())
    assert [(bad.row, bad.column, bad.words) for bad in decoded.bad] == [
        (101, "element [1]", "got inf, expected a finite float32")
    ]
    assert decoded.places_G.tolist() == [0, 2]


def test_an_array_of_another_length_is_refused() -> None:
    """A payload that does not hold its rows is nobody's prediction."""
    with pytest.raises(ContractError, match="3 values"):
        decode_portion(ArrayForm(dtype="<f4", shape=(2,)), FLOAT, span(2), np.zeros(3, np.float32).tobytes())


@pytest.mark.parametrize(
    ("value", "words"),
    [("256", "got 256.0"), ("-1", "got -1.0"), ("1.5", "got 1.5"), ("1e400", "got inf"), ("NA", "got nothing")],
)
def test_a_whole_number_input_takes_no_others(value: str, words: str) -> None:
    """What a uint8 cannot hold is named, never wrapped or cut."""
    decoded = decode_portion(CSV, BYTES, span(1), HEADER + f"x,1,{value}\n".encode())
    assert [(bad.row, bad.column) for bad in decoded.bad] == [(100, "b")]
    assert decoded.bad[0].words.startswith(words)


def test_a_float_input_takes_no_value_beyond_its_range() -> None:
    """A float64 that float32 cannot hold is named instead of becoming infinite."""
    decoded = decode_portion(CSV, FLOAT, span(1), HEADER + b"x,1,1e300\n")
    assert [bad.column for bad in decoded.bad] == ["b"]


@pytest.mark.parametrize(
    ("record", "column", "words"),
    [
        ("x,1", "", "got 2 columns, expected 3"),
        ("x,1,2,3", "", "got 4 columns, expected 3"),
        ("x,1,two", "b", "got 'two', expected a number"),
        ("x,1_0,2", "a", "got '1_0', expected a number"),
    ],
)
def test_a_faulty_record_is_named_and_its_neighbours_are_kept(record: str, column: str, words: str) -> None:
    """A record that is no row of numbers costs itself only."""
    decoded = decode_portion(CSV, FLOAT, span(3), HEADER + f"x,1,2\n{record}\nx,3,4\n".encode())
    assert [(bad.row, bad.column, bad.words) for bad in decoded.bad] == [(101, column, words)]
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [3, 4]], np.float32))


def test_csv_text_columns_may_hold_breaks_and_delimiters() -> None:
    """A quoted field is one field, whatever is in it."""
    decoded = decode_portion(CSV, FLOAT, span(2), HEADER + b'"a,\nb",1,2\n"say ""no""",3,4\n')
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [3, 4]], np.float32))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.floats(allow_nan=False, width=32), st.integers(-(2**20), 2**20)), min_size=1, max_size=20))
def test_a_fault_nearby_changes_no_number(rows: list[tuple[float, int]]) -> None:
    """The good rows of a portion with faults are those of one without."""
    good = [f"x,{a!r},{b}\n" for a, b in rows]
    faulty = [line for record in good for line in (record, "x,one,2\n", "x\n", "x,1,\x00\n")]
    alone = decode_portion(CSV, FLOAT, span(len(good)), HEADER + "".join(good).encode())
    among = decode_portion(CSV, FLOAT, span(len(faulty)), HEADER + "".join(faulty).encode())
    assert among.raw_G.tobytes() == alone.raw_G.tobytes()
    assert [bad.row - 100 for bad in among.bad if bad.row % 4] == [place for place in range(len(faulty)) if place % 4]


def test_categories_are_read_by_their_vocabulary() -> None:
    """Missing ones are NaN; one that the vocabulary lacks is named with those that it has."""
    form = CsvForm(columns=(COLOUR, B))
    payload = "b,x,colour\n1,,red\n2,,NA\nnull,,blue\n4,,caf\xe9\n5,,red \n".encode("latin-1")
    decoded = decode_portion(form, FLOAT, span(5), payload)
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 1], [np.nan, 2], [0, np.nan]], np.float32))
    assert [(bad.row, bad.column, bad.words) for bad in decoded.bad] == [
        (103, "colour", "got category 'caf\ufffd', expected one of 'blue', 'red'"),
        (104, "colour", "got category 'red ', expected one of 'blue', 'red'"),
    ]


def test_what_is_missing_in_a_table_is_nan() -> None:
    """A null and NaN are the same; whether the row can do without is known after preprocessing."""
    payload = stream({"a": [1, None, 3], "b": [None, float("nan"), 0.5]})
    decoded = decode_portion(TableForm(columns=(A, B)), FLOAT, span(3), payload)
    assert decoded.bad == ()
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, np.nan], [np.nan, np.nan], [3, 0.5]], np.float32))


def test_a_list_column_is_a_row_of_values() -> None:
    """Lists of the right length are rows; others are named."""
    payload = stream({"x": [[1.0, 2.0], [3.0], None, [5.0, None], [7.0, 8.0]]})
    decoded = decode_portion(TableForm(columns=(Feature(name="x"),)), FLOAT, span(5), payload)
    np.testing.assert_array_equal(decoded.raw_G, np.array([[1, 2], [5, np.nan], [7, 8]], np.float32))
    assert [(bad.row, bad.words) for bad in decoded.bad] == [
        (101, "got a list of 1, expected 2 numbers"),
        (102, "got nothing, expected a list of numbers"),
    ]


def test_images_are_read_and_bad_ones_named(tmp_path: Path) -> None:
    """Grey images become rows; another size, a damaged file, 16 bits and another kind are named and not resized."""
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    Image.fromarray(pixels).save(tmp_path / "good.png")
    Image.fromarray(pixels.T.copy()).save(tmp_path / "turned.png")
    Image.fromarray(pixels.astype(np.uint16)).save(tmp_path / "deep.png")
    Image.fromarray(pixels).save(tmp_path / "other.bmp")
    (tmp_path / "broken.png").write_bytes((tmp_path / "good.png").read_bytes()[:40])
    names = ["broken.png", "deep.png", "good.png", "other.bmp", "turned.png"]
    raw = TensorSpec(name="x", dtype=DType.UINT8, shape=(2, 3, 1))
    form = ImagesForm(folder=str(tmp_path), images=ImageInput(resize=False, convert=True))
    decoded = decode_portion(form, raw, span(5), "\0".join(names).encode())
    np.testing.assert_array_equal(decoded.raw_G, pixels[np.newaxis, ..., np.newaxis])
    assert decoded.keys == tuple(names)
    assert [bad.row for bad in decoded.bad] == [100, 101, 103, 104]
    assert "mode I;16" in decoded.bad[1].words
    assert "expected PNG or JPEG" in decoded.bad[2].words
    assert decoded.bad[3].words == "got 3 x 2 (height x width), expected 2 x 3"
