"""Sources: all rows, in order, from any position; damaged files and wrong forms are refused by name."""

from __future__ import annotations

import bz2
import dataclasses
import gzip
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
from converter.predict.sources.source import Reading, Source, open_source
from fleet_contract.errors import ConfigError, DataError, NotFoundError
from fleet_contract.release import Feature
from fleet_contract.tensors import DType, TensorSpec
from fleet_rows.csv_text import open_text

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

RAW = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2,))
IMAGE = TensorSpec(name="x", dtype=DType.FLOAT32, shape=(1, 2))
ROWS = np.arange(46, dtype=np.float32).reshape(23, 2)
KINDS = ("csv", "tsv", "csv.gz", "csv.bz2", "parquet", "npy", "npz", "packed.npz", "images", "csvs", "parquets")


def make(folder: Path, kind: str) -> tuple[Path, TensorSpec]:
    """ROWS as data of that kind, and the input that they make."""
    path = folder / f"data.{kind}"
    match kind:
        case "csv" | "tsv":
            mark = "," if kind == "csv" else "\t"
            lines = [mark.join(("a", "b")), *(mark.join(map(str, row)) for row in ROWS.tolist())]
            path.write_text("\n".join(lines))
        case "csv.gz" | "csv.bz2":
            text = "a,b\n" + "".join(f"{a},{b}\n" for a, b in ROWS.tolist())
            path.write_bytes((gzip if kind.endswith("gz") else bz2).compress(text.encode()))
        case "csvs" | "parquets":
            make_files(path, kind.removesuffix("s"))
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


def make_files(folder: Path, kind: str) -> None:
    """ROWS in three files of that kind, the columns of the second the other way round."""
    for number, rows in enumerate((ROWS[:9], ROWS[9:10], ROWS[10:])):
        names = ("b", "a") if number == 1 else ("a", "b")
        columns = {name: rows[:, "ab".index(name)] for name in names}
        folder.mkdir(exist_ok=True)
        place = folder / f"{number}.{kind}"
        if kind == "csv":
            lines = zip(*(column.tolist() for column in columns.values()), strict=True)
            place.write_text("\n".join((",".join(names), *(",".join(map(str, line)) for line in lines))))
        else:
            pq.write_table(pa.table(columns), place, row_group_size=4)


def read(source: Source, raw: TensorSpec, rows: int, begin: Position) -> tuple[NDArray[np.generic], list[Position]]:
    """All rows from `begin` on, and the position after each portion."""
    parts, positions = [], []
    for portion in source.portions(rows, begin):
        parts.append(decode_portion(source.form, raw, portion.span, portion.payload).raw_G)
        positions.append(Position.after(portion.span, portion.cursor))
        assert 0 < portion.fraction <= 1
        assert len(parts[-1]) == portion.span.count
    return np.concatenate(parts).reshape(-1, 2), positions


@pytest.mark.parametrize("kind", KINDS)
def test_rows_come_in_order_from_any_position(tmp_path: Path, kind: str) -> None:
    """Reading on after a portion gives just what reading through gives, and every portion but the last is full."""
    path, raw = make(tmp_path, kind)
    source = open_source(path, Reading(raw=raw))
    assert source.total_rows in {23, None}
    everything, positions = read(source, raw, 4, Position())
    np.testing.assert_array_equal(everything, ROWS)
    files = [4, 8, 9, 10, 14, 18, 22, 23] if kind.endswith("s") and kind != "images" else [4, 8, 12, 16, 20, 23]
    assert [position.row for position in positions] == files
    for position in positions[:-1]:
        rest, later = read(open_source(path, Reading(raw=raw)), raw, 4, position)
        np.testing.assert_array_equal(rest, ROWS[position.row :])
        assert later == positions[position.index :]


@pytest.mark.parametrize("kind", KINDS)
def test_the_identity_tells_changed_data(tmp_path: Path, kind: str) -> None:
    """The same data have one identity; data that grew or were only touched have another."""
    path, raw = make(tmp_path, kind)
    before = open_source(path, Reading(raw=raw)).identity()
    assert open_source(path, Reading(raw=raw)).identity() == before
    touched = min(each for each in (path, *path.rglob("*")) if each.is_file())
    os.utime(touched, ns=(1, 1))
    assert open_source(path, Reading(raw=raw)).identity() != before


@pytest.mark.parametrize("kind", ["parquet", "npy", "npz", "packed.npz", "csv.gz", "csv.bz2"])
def test_a_truncated_file_is_named(tmp_path: Path, kind: str) -> None:
    """Half a file is refused, at the latest where it ends, with its name."""
    path, raw = make(tmp_path, kind)
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(DataError, match=r"data\."):
        read(open_source(path, Reading(raw=raw)), raw, 4, Position())


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
    source = open_source(path, Reading(raw=RAW, columns=("a", "b")))
    rows, _ = read(source, RAW, 3, Position())
    assert rows[:, 0].tolist() == [number for _, number, _ in records]


@settings(deadline=None, max_examples=100)
@given(st.text(st.sampled_from('a",;\n'), max_size=24), st.sampled_from(",;"))
def test_records_end_where_training_ends_them(
    tmp_path_factory: pytest.TempPathFactory, text: str, separator: str
) -> None:
    """Whatever stands where: a quotation mark is one only where a field begins. One that is never closed is refused."""
    path = tmp_path_factory.mktemp("csv") / "data.csv"
    path.write_text(f"x{separator}y\n{text}\n", newline="")
    source = open_source(path, Reading(raw=RAW, separator=separator))
    try:
        count = sum(portion.span.count for portion in source.portions(1, Position()))
    except DataError:
        count = -1
    ragged: list[object] = []

    def note(row: object) -> str:
        ragged.append(row)
        return "skip"

    with open_text(str(path), ["x"], separator=separator, on_invalid=note) as reader:
        assert count in {-1, reader.read_all().num_rows + len(ragged)}
    assert count >= 0 or '"' in text


def test_a_quotation_mark_that_is_never_closed_is_named(tmp_path: Path) -> None:
    """The row at which it stands is told."""
    path = tmp_path / "data.csv"
    path.write_text('id,a,b\nx,1,2\n"y,3,4\n')
    source = open_source(path, Reading(raw=RAW, columns=("a", "b")))
    with pytest.raises(DataError, match=r"data\.csv: row 1: got a record without an end"):
        read(source, RAW, 10, Position())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty file"),
        ("1,2\n3,4\n", "only numbers in the first line"),
        ("a,a\n1,2\n", r"more than once \('a'\)"),
        ("a,b,c\n1,2,3\n", r"got 3 columns \(a, b, c\), expected 2"),
        ("\xff\xfe,b\n", "not UTF-8"),
    ],
)
def test_a_csv_header_that_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """What the first line shows is refused before anything is scored."""
    path = tmp_path / "data.csv"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=words):
        open_source(path, Reading(raw=RAW))


def test_ten_thousand_columns_are_not_all_told(tmp_path: Path) -> None:
    """The message about a wide table names a few columns and counts the rest."""
    path = tmp_path / "data.csv"
    path.write_text(",".join(f"c{number}" for number in range(10_000)) + "\n")
    with pytest.raises(DataError, match="and 9992 more") as caught:
        open_source(path, Reading(raw=RAW))
    assert len(caught.value.message) < 1000


def test_columns_are_taken_by_name_in_the_order_given(tmp_path: Path) -> None:
    """The input's values follow --columns, not the file."""
    path, raw = make(tmp_path, "parquet")
    rows, _ = read(open_source(path, Reading(raw=raw, columns=("b", "a"))), raw, 50, Position())
    np.testing.assert_array_equal(rows, ROWS[:, ::-1])


def test_a_release_takes_its_columns_by_name(tmp_path: Path) -> None:
    """Whatever their order and whatever stands beside them; --columns has nothing to say then."""
    path = tmp_path / "data.csv"
    path.write_text("label;b;colour\nyes;1;red\nno;;blue\n")
    features = (Feature(name="colour", categories=("blue", "red")), Feature(name="b"))
    reading = Reading(raw=RAW, features=features, separator=";")
    rows, _ = read(open_source(path, reading), RAW, 50, Position())
    np.testing.assert_array_equal(rows, [[1, 1], [0, np.nan]])
    with pytest.raises(ConfigError, match="the release names them: colour, b"):
        open_source(path, dataclasses.replace(reading, columns=("b", "colour")))
    path.write_text("label;b;color\n")
    with pytest.raises(DataError, match="no column colour") as caught:
        open_source(path, reading)
    assert caught.value.hint == "did you mean 'color'?"


def test_text_where_a_release_wants_numbers_is_refused(tmp_path: Path) -> None:
    """A typed file tells so before anything is scored; text is well where the release has a vocabulary."""
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": ["x"], "b": [1]}), path)
    words, number = Feature(name="a", categories=("x",)), Feature(name="b")
    rows, _ = read(open_source(path, Reading(raw=RAW, features=(words, number))), RAW, 5, Position())
    assert rows.tolist() == [[0, 1]]
    with pytest.raises(DataError, match="column 'a': got type string, expected numbers"):
        open_source(path, Reading(raw=RAW, features=(Feature(name="a"), number)))


def test_portions_of_several_files_tell_theirs(tmp_path: Path) -> None:
    """Rows are numbered through; the span knows the file and where in it."""
    path, raw = make(tmp_path, "csvs")
    spans = [portion.span for portion in open_source(path, Reading(raw=raw)).portions(8, Position())]
    assert [(span.start, span.file, span.file_start) for span in spans] == [
        (0, "0.csv", 0), (8, "0.csv", 8), (9, "1.csv", 0), (10, "2.csv", 0), (18, "2.csv", 8),
    ]  # fmt: skip
    assert str(spans[-1]) == "rows 18 to 22 (in 2.csv from row 8)"


def test_a_folder_of_tables_of_two_kinds_is_refused(tmp_path: Path) -> None:
    """Which of them is meant, nobody knows."""
    path, raw = make(tmp_path, "csvs")
    pq.write_table(pa.table({"a": [1], "b": [1]}), path / "9.parquet")
    with pytest.raises(DataError, match=r"9\.parquet: got another kind or other columns than 0\.csv"):
        open_source(path, Reading(raw=raw))


def test_lines_that_end_in_a_carriage_return_alone_are_refused(tmp_path: Path) -> None:
    """Records are found by line feeds."""
    path = tmp_path / "data.csv"
    path.write_bytes(b"a,b\r1,2\r")
    with pytest.raises(DataError, match="carriage return"):
        open_source(path, Reading(raw=RAW))


def test_rows_of_nothing_but_separators_are_rows(tmp_path: Path) -> None:
    """Only an empty line is none, as in training."""
    path = tmp_path / "data.tsv"
    path.write_text("a\tb\n1\t2\n\n\t\n")
    rows, _ = read(open_source(path, Reading(raw=RAW)), RAW, 9, Position())
    np.testing.assert_array_equal(rows, [[1, 2], [np.nan, np.nan]])


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    """A column that is not there stops before anything is scored."""
    path, raw = make(tmp_path, "parquet")
    with pytest.raises(DataError, match="no column c"):
        open_source(path, Reading(raw=raw, columns=("a", "c")))


def test_text_in_a_parquet_column_is_refused(tmp_path: Path) -> None:
    """The schema tells that a column is text."""
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"a": ["x"], "b": [1]}), path)
    with pytest.raises(DataError, match="column 'a': got type string, expected numbers"):
        open_source(path, Reading(raw=RAW))


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
        open_source(tmp_path / "data.npy", Reading(raw=RAW))


def test_floats_are_no_whole_numbers(tmp_path: Path) -> None:
    """A float array is not cut to a uint8 input."""
    np.save(tmp_path / "data.npy", np.zeros((3, 2), np.float32))
    with pytest.raises(DataError, match="expected whole numbers"):
        open_source(tmp_path / "data.npy", Reading(raw=TensorSpec(name="x", dtype=DType.UINT8, shape=(2,))))


def test_an_npz_says_which_arrays_it_has(tmp_path: Path) -> None:
    """With several arrays and none named `inputs` the user chooses."""
    np.savez(tmp_path / "data.npz", a=ROWS, b=ROWS)
    with pytest.raises(DataError, match="got arrays a, b"):
        open_source(tmp_path / "data.npz", Reading(raw=RAW))
    assert open_source(tmp_path / "data.npz", Reading(raw=RAW, array="b")).total_rows == 23


def test_options_of_another_kind_are_refused(tmp_path: Path) -> None:
    """`--columns` of an array, and `--array` of a table, mean nothing."""
    path, raw = make(tmp_path, "npy")
    with pytest.raises(ConfigError, match="--columns"):
        open_source(path, Reading(raw=raw, columns=("a", "b")))
    with pytest.raises(ConfigError, match="--separator"):
        open_source(path, Reading(raw=raw, separator=";"))
    with pytest.raises(ConfigError, match="--array"):
        open_source(path, Reading(raw=raw, array="a"))


def test_nothing_and_unknown_kinds_are_named(tmp_path: Path) -> None:
    """A path without data, a folder without images and a file of another kind each say so."""
    with pytest.raises(NotFoundError):
        open_source(tmp_path / "none.csv", Reading(raw=RAW))
    with pytest.raises(DataError, match="got no image"):
        open_source(tmp_path, Reading(raw=IMAGE))
    (tmp_path / "data.xls").touch()
    with pytest.raises(DataError, match=r"'\.xls'"):
        open_source(tmp_path / "data.xls", Reading(raw=RAW))
