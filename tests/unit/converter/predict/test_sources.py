"""Sources: all rows, in order, from any position; damaged files and wrong forms are refused by name."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from converter.predict.decoding import decode_portion
from converter.predict.portions import Position
from converter.predict.sources.source import Source, open_source
from fleet_contract.errors import ConfigError, DataError, NotFoundError
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RAW = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2,))
IMAGE = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(1, 2))
ROWS = np.arange(46, dtype=np.float32).reshape(23, 2)
KINDS = ("csv", "tsv", "parquet", "npy", "npz", "packed.npz", "images")


def make(folder: Path, kind: str) -> tuple[Path, TensorSpec]:
    """ROWS as data of that kind, and the input that they make."""
    path = folder / f"data.{kind}"
    match kind:
        case "csv" | "tsv":
            mark = "," if kind == "csv" else "\t"
            lines = [mark.join(("a", "b")), *(mark.join(map(str, row)) for row in ROWS.tolist())]
            path.write_text("\n".join(lines))
        case "parquet":
            pq.write_table(pa.table({"a": ROWS[:, 0], "b": ROWS[:, 1]}), path, row_group_size=5)
        case "npy":
            np.save(path, ROWS)
        case "npz":
            np.savez(path, inputs=ROWS, labels=np.zeros(23))
        case "packed.npz":
            np.savez_compressed(path, whatever=ROWS)
        case "images":
            for number, row in enumerate(ROWS.astype(np.uint8)):
                place = path / f"{number // 10}" / f"{number:02}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(row[np.newaxis]).save(place)
            (path / "README.txt").write_text("no image")
            return path, IMAGE
    return path, RAW


def read(source: Source, raw: TensorSpec, rows: int, begin: Position) -> tuple[NDArray[np.generic], list[Position]]:
    """All rows from `begin` on, and the position after each portion."""
    parts, positions = [], []
    for portion in source.portions(rows, begin):
        parts.append(decode_portion(source.form, raw, portion.span, portion.payload).raw_G)
        after = portion.span.start + portion.span.count
        positions.append(Position(index=portion.span.index + 1, row=after, cursor=portion.cursor))
        assert 0 < portion.fraction <= 1
        assert len(parts[-1]) == portion.span.count
    return np.concatenate(parts).reshape(-1, 2), positions


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_in_order_from_any_position(tmp_path: Path, kind: str) -> None:
    """Reading on after a portion gives just what reading through gives, and every portion but the last is full."""
    path, raw = make(tmp_path, kind)
    source = open_source(path, raw)
    assert source.total_rows in {23, None}
    everything, positions = read(source, raw, 4, Position())
    np.testing.assert_array_equal(everything, ROWS)
    assert [position.row for position in positions] == [4, 8, 12, 16, 20, 23]
    for position in positions[:-1]:
        rest, later = read(open_source(path, raw), raw, 4, position)
        np.testing.assert_array_equal(rest, ROWS[position.row :])
        assert later == positions[position.index :]


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_tells_changed_data(tmp_path: Path, kind: str) -> None:
    """The same data have one identity; data that grew or were only touched have another."""
    path, raw = make(tmp_path, kind)
    before = open_source(path, raw).identity()
    assert open_source(path, raw).identity() == before
    touched = path / "0" / "00.png" if kind == "images" else path
    os.utime(touched, ns=(1, 1))
    assert open_source(path, raw).identity() != before


@pytest.mark.parametrize("kind", ["parquet", "npy", "npz", "packed.npz"])
def test_a_truncated_file_is_named(tmp_path: Path, kind: str) -> None:
    """Half a file is refused, at the latest where it ends, with its name."""
    path, raw = make(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"data\."):
        read(open_source(path, raw), raw, 4, Position())


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.text(st.sampled_from('a",\n\r;'), max_size=6), st.integers(0, 99), st.booleans()),
        min_size=1,
        max_size=12,
    )
)
def test_csv_records_are_found_whatever_is_quoted(
    tmp_path_factory: pytest.TempPathFactory, records: list[tuple[str, int, bool]]
) -> None:
    """Quoted breaks, quotes and blank lines between records neither lose nor make rows."""
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    lines = ["id,a,b\n"]
    for text, number, blank in records:
        quoted = '"' + text.replace('"', '""') + '"'
        lines.append(f"{quoted},{number},1\n" + ("\n" if blank else ""))
    path.write_text("".join(lines), newline="")
    source = open_source(path, RAW, columns=("a", "b"))
    rows, _ = read(source, RAW, 3, Position())
    assert rows[:, 0].tolist() == [number for _, number, _ in records]


def test_a_quotation_mark_that_is_never_closed_is_named(tmp_path: Path) -> None:
    """The row at which it stands is told."""
    path = tmp_path / "data.csv"
    path.write_text('id,a,b\nx,1,2\n"y,3,4\n')
    source = open_source(path, RAW, columns=("a", "b"))
    with pytest.raises(DataError, match=r"data\.csv: row 1: got a record without an end"):
        read(source, RAW, 10, Position())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty file"),
        ("1,2\n3,4\n", "only numbers in the first line"),
        ("a,a\n1,2\n", "column 'a' twice"),
        ("a,b,c\n1,2,3\n", r"got 3 columns \(a, b, c\), expected 2"),
        ("\xff\xfe,b\n", "not UTF-8"),
    ],
)
def test_a_csv_header_that_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """What the first line shows is refused before anything is scored."""
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        open_source(path, RAW)


def test_a_hundred_thousand_columns_are_not_all_told(tmp_path: Path) -> None:
    """The message about a wide table names a few columns and counts the rest."""
    path = tmp_path / "data.csv"
    path.write_text(",".join(f"c{number}" for number in range(100_000)) + "\n")
    with pytest.raises(DataError, match="and 99992 more") as caught:
        open_source(path, RAW)
    assert len(caught.value.message) < 1000


def test_columns_are_taken_by_name_in_the_order_given(tmp_path: Path) -> None:
    """The input's values follow --columns, not the file."""
    path, raw = make(tmp_path, "parquet")
    rows, _ = read(open_source(path, raw, columns=("b", "a")), raw, 50, Position())
    np.testing.assert_array_equal(rows, ROWS[:, ::-1])


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A column that is not there stops before anything is scored."""
    path, raw = make(tmp_path, "parquet")
    with pytest.raises(DataError, match="no column c"):
        open_source(path, raw, columns=("a", "c"))


def test_text_in_a_parquet_column_is_refused(tmp_path: Path) -> None:
    """The schema tells that a column is text."""
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": ["x"], "b": [1]}), path)
    with pytest.raises(DataError, match="column 'a': got type string, expected numbers"):
        open_source(path, RAW)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 5), np.float32), r"got shape \[3, 5\]"),
        (np.zeros((3, 2), np.complex64), "expected numbers"),
        (np.asfortranarray(np.zeros((3, 2), np.float32)), "columns first"),
        (np.float32(1), r"got shape \[\]"),
    ],
)
def test_an_array_of_another_form_is_refused(tmp_path: Path, array: NDArray[np.generic], words: str) -> None:
    """The head of the file tells what it holds."""
    np.save(tmp_path / "data.npy", array)
    with pytest.raises(DataError, match=words):
        open_source(tmp_path / "data.npy", RAW)


def test_floats_are_no_whole_numbers(tmp_path: Path) -> None:
    """A float array is not cut to a uint8 input."""
    np.save(tmp_path / "data.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="expected whole numbers"):
        open_source(tmp_path / "data.npy", TensorSpec(name="x", dtype=DType.UINT8, shape=(2,)))


def test_an_npz_says_which_arrays_it_has(tmp_path: Path) -> None:
    """With several arrays and none named `inputs` the user chooses."""
    np.savez(tmp_path / "data.npz", a=ROWS, b=ROWS)
    with pytest.raises(DataError, match="got arrays a, b"):
        open_source(tmp_path / "data.npz", RAW)
    assert open_source(tmp_path / "data.npz", RAW, array="b").total_rows == 23


def test_options_of_another_kind_are_refused(tmp_path: Path) -> None:
    """`--columns` of an array, and `--array` of a table, mean nothing."""
    path, raw = make(tmp_path, "npy")
    with pytest.raises(ConfigError, match="--columns"):
        open_source(path, raw, columns=("a", "b"))
    with pytest.raises(ConfigError, match="--array"):
        open_source(path, raw, array="a")


def test_nothing_and_unknown_kinds_are_named(tmp_path: Path) -> None:
    """A path without data, a folder without images and a file of another kind each say so."""
    with pytest.raises(NotFoundError):
        open_source(tmp_path / "none.csv", RAW)
    with pytest.raises(DataError, match="got no image"):
        open_source(tmp_path, IMAGE)
    (tmp_path / "data.xls").touch()
    with pytest.raises(DataError, match=r"'\.xls'"):
        open_source(tmp_path / "data.xls", RAW)
