"""Tables as data sets: what columns become, and what is refused, from CSV and Parquet alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from fleet_contract.features import encode_rows
from fleet_contract.release import Feature
from tests.fakes.trainer_files import COLOURS, load, table_columns, write_csv, write_parquet
from trainer.data.schema import infer_schema
from trainer.data.verify import find_anomalies
from trainer.settings import DataSection
from trainer.sources.uri import load_source

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Writer = Callable[[Path, Mapping[str, Sequence[Any]]], Path]

VOCABULARY = ("blue", "green", "red")


@pytest.mark.parametrize(("scheme", "write"), [("csv", write_csv), ("parquet", write_parquet)])
def test_words_become_codes_and_numbers_stay(tmp_path: Path, scheme: str, write: Writer) -> None:
    """Both kinds of file give the same inputs, labels and features."""
    write(tmp_path / "d", table_columns())
    data = load(tmp_path, f"{scheme}:d")
    assert data.features == (Feature(name="width"), Feature(name="colour", categories=VOCABULARY))
    assert data.inputs_B.dtype == np.float32
    assert data.inputs_B[:4].tolist() == [[0.0, 2.0], [0.125, 1.0], [0.25, 0.0], [0.375, 2.0]]
    assert data.label_names == ("no", "yes")
    assert data.labels_B[:4].tolist() == [0, 1, 0, 1]
    assert len(data) == 60


def test_serving_encodes_rows_as_training_did(tmp_path: Path) -> None:
    """What a caller makes of rows by name, with the features that travel, is bit for bit what was trained on."""
    columns = table_columns()
    write_csv(tmp_path / "d.csv", columns)
    data = load(tmp_path, "csv:d.csv")
    assert encode_rows(columns, data.features).tobytes() == data.inputs_B.tobytes()


def test_a_folder_of_files_is_one_table(tmp_path: Path) -> None:
    """Files come by name; hidden and foreign ones are left alone."""
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in (2, 0, 1):
        write_csv(folder / f"{index}.csv", {"x": [index] * 30, "label": ["a", "b"] * 15})
    (folder / ".hidden.csv").write_text("nonsense")
    (folder / "README.txt").write_text("about")
    assert load(tmp_path, "csv:parts").inputs_B[::30, 0].tolist() == [0.0, 1.0, 2.0]


def test_columns_have_roles(tmp_path: Path) -> None:
    """Slices, groups and times are no features unless they are named as such; times order rows."""
    columns = {
        **table_columns(4),
        "site": ["north", "", "south", "north"],
        "machine": [7, 7, 8, 9],
        "at": ["2026-01-01T00:00:00", "2026-01-01 00:00:01", "2025-12-31", "1970-01-01T00:00:10"],
    }
    write_csv(tmp_path / "d.csv", columns)
    data = load(tmp_path, "csv:d.csv", slices="site", group="machine", time="at")
    assert [feature.name for feature in data.features] == ["width", "colour"]
    assert data.slices_B.tolist() == ["north", "", "south", "north"]
    assert data.groups_B is not None
    assert data.groups_B.tolist() == ["7", "7", "8", "9"]
    assert data.times_B is not None
    assert np.diff(data.times_B[[3, 2, 0, 1]]).tolist() == [1767139190.0, 86400.0, 1.0]


def test_rows_take_the_shape_asked_for(tmp_path: Path) -> None:
    """A series or an image that is a row of numbers becomes one again."""
    columns: dict[str, Any] = {f"p{index}": [index] * 4 for index in range(6)}
    write_csv(tmp_path / "d.csv", {**columns, "label": [0, 1, 0, 1]})
    assert load(tmp_path, "csv:d.csv", shape=(3, 2)).inputs_B[0].tolist() == [[0, 1], [2, 3], [4, 5]]
    with pytest.raises(ConfigError, match=r"shape: got \[4, 2\], which is 8 numbers, expected 6"):
        load(tmp_path, "csv:d.csv", shape=(4, 2))


def test_missing_values_stay_missing(tmp_path: Path) -> None:
    """They are NaN, in numbers and in words, for verification to count; nothing is made up."""
    write_csv(tmp_path / "d.csv", {"x": [1, "", 3, 4], "c": ["u", "v", "NA", "u"], "label": [0, 1, 0, 1]})
    assert np.isnan(load(tmp_path, "csv:d.csv").inputs_B).tolist() == [
        [False, False], [True, False], [False, True], [False, False]
    ]  # fmt: skip


def test_a_declared_category_may_look_like_a_number(tmp_path: Path) -> None:
    """Codes of a machine are no quantity, though they are digits."""
    write_csv(tmp_path / "c.csv", {"machine": ["07", "8", "07", "9"], "label": [0, 1, 0, 1]})
    write_parquet(tmp_path / "p", {"machine": [7.0, 8.0, 7.0, 9.0], "label": [0, 1, 0, 1]})
    assert load(tmp_path, "csv:c.csv", categorical=("machine",)).features[0].categories == ("07", "8", "9")
    assert load(tmp_path, "parquet:p", categorical=("machine",)).features[0].categories == ("7", "8", "9")


def test_numbers_as_labels_are_classes_in_numeric_order(tmp_path: Path) -> None:
    """10 comes after 9, and 1.0 is the class 1."""
    write_csv(tmp_path / "d.csv", {"x": [1, 2, 3, 4], "label": ["10", "9", "1.0", "1"]})
    data = load(tmp_path, "csv:d.csv")
    assert data.label_names == ("1", "9", "10")
    assert data.labels_B.tolist() == [2, 1, 0, 0]


def test_the_vocabulary_of_the_schema_holds(tmp_path: Path) -> None:
    """Codes do not move when a word is absent from a later snapshot, and a new word is refused."""
    known = (Feature(name="width"), Feature(name="colour", categories=("amber", *VOCABULARY)))
    settings = DataSection(source="csv:d.csv")
    write_csv(tmp_path / "d.csv", table_columns())
    data = load_source(settings, tmp_path, known=known)
    assert data.features == known
    assert data.inputs_B[0, 1] == 3.0
    columns = table_columns()
    columns["colour"][5] = columns["colour"][7] = "puce"
    write_csv(tmp_path / "d.csv", columns)
    with pytest.raises(DataError, match=r"'colour': got 2 rows with categories that the schema does not know \('puce'"):
        load_source(settings, tmp_path, known=known)


def test_a_table_that_would_not_fit_is_refused(tmp_path: Path) -> None:
    """Before its array is made."""
    write_csv(tmp_path / "d.csv", table_columns(1000))
    with pytest.raises(DataError, match="got 8,000 bytes in memory, expected at most 5,000"):
        load(tmp_path, "csv:d.csv", max_bytes=5000)


def changed(row: int, **values: Any) -> dict[str, list[Any]]:
    """Sixty sound rows, but for the values given at `row`."""
    columns = table_columns()
    for name, value in values.items():
        columns[name][row] = value
    return columns


REFUSED: dict[str, tuple[dict[str, list[Any]], dict[str, Any], str]] = {
    "a word among numbers": (
        changed(41, width="wide"), {},
        "'width': got 59 numbers (first '0.0' in d.csv row 0) and 1 words (first 'wide' in d.csv row 41)"),
    "a number among labels": (changed(3, label=7), {}, "(first '7' in d.csv row 3)"),
    "a row without a label": (changed(9, label=""), {}, "got 1 rows without one, the first in d.csv row 9"),
    "no label column": (table_columns(), {"label": "lable"}, "expected label column 'lable'"),
    "no such feature": (table_columns(), {"features": ("width", "hight")}, "expected column 'hight'"),
    "a label with fractions": (table_columns(), {"label": "width"}, "looks like a quantity (a regression target)"),
    "a label with a number a row": (
        {"x": [1.0] * 60, "label": list(range(60))}, {}, "got 60 different values in 60 rows, expected at most 20"),
    "a label with a word a row": (
        {"x": [1.0] * 60, "label": [f"id{row}" for row in range(60)]}, {}, "they look like identifiers"),
    "free text": (
        {"t": [f"t{row}" for row in range(1100)], "label": ["a", "b"] * 550}, {},
        "got more than 1,000 different words"),
    "a column of nothing": ({"x": [""] * 4, "label": [0, 1, 0, 1]}, {}, "'x': got no value in 4 rows"),
    "no features": ({"label": [0, 1, 0, 1]}, {}, "expected at least one feature"),
    "a quote left open": (
        {"x": [1, 2], "w": ["a", "b\n2,c"], "label": [0, 1]}, {}, "'w': got a line break in 'b\\n2,c'"),
    "no time": ({"x": [1, 2], "at": ["2026-01-01", "soon"], "label": [0, 1]}, {"time": "at"}, "row 1, column 'at'"),
    "no rows": ({"x": [], "label": []}, {}, "got no rows"),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "settings", "words"), REFUSED.values(), ids=REFUSED)
def test_refuses(tmp_path: Path, columns: dict[str, list[Any]], settings: dict[str, Any], words: str) -> None:
    """Each fault names file, row and column, whichever it has."""
    write_csv(tmp_path / "d.csv", columns)
    with pytest.raises(DataError) as caught:
        load(tmp_path, "csv:d.csv", **settings)
    assert words in caught.value.message
    assert "d.csv" in caught.value.message


def test_files_that_disagree_are_refused(tmp_path: Path) -> None:
    """Numbers in one file and words in another are no column; nor is one that only some files have."""
    folder = tmp_path / "parts"
    folder.mkdir()
    write_parquet(folder / "0.parquet", {"x": [1.0, 2.0], "label": ["a", "b"]})
    write_parquet(folder / "1.parquet", {"x": ["one", "two"], "label": ["a", "b"]})
    with pytest.raises(DataError, match=r"1\.parquet: column 'x': got string, expected double as in 0\.parquet"):
        load(tmp_path, "parquet:parts")
    write_parquet(folder / "1.parquet", {"y": [1.0, 2.0], "label": ["a", "b"]})
    with pytest.raises(DataError, match=r"1\.parquet: got columns 'y', 'label', expected column 'x'"):
        load(tmp_path, "parquet:parts")


def test_a_column_that_is_neither_number_nor_text_is_refused(tmp_path: Path) -> None:
    """The hint says how to leave it out."""
    write_parquet(tmp_path / "p", {"x": [1.0, 2.0], "v": [[1, 2], [3]], "label": ["a", "b"]})
    with pytest.raises(DataError, match=r"column 'v': got list") as caught:
        load(tmp_path, "parquet:p")
    assert "features" in caught.value.hint
    assert load(tmp_path, "parquet:p", features=("x",)).inputs_B.tolist() == [[1.0], [2.0]]


def test_contradicting_roles_are_refused(tmp_path: Path) -> None:
    """A model that eats its label is always right and never of use."""
    write_csv(tmp_path / "d.csv", table_columns())
    with pytest.raises(ConfigError, match="'label', which is the label"):
        load(tmp_path, "csv:d.csv", features=("width", "label"))
    with pytest.raises(ConfigError, match="got a column twice"):
        load(tmp_path, "csv:d.csv", features=("width", "width"))


def test_the_colours_of_the_table_are_the_vocabulary() -> None:
    """The fake and the expectation above are the same words."""
    assert tuple(sorted(COLOURS)) == VOCABULARY


def test_anomalies_name_the_row_of_its_file(tmp_path: Path) -> None:
    """Of a folder, also where only some rows are taken; a row that lacks a value is named with its column."""
    columns = {**table_columns(30), "load": [1.0 + row % 5 for row in range(30)]}
    for name in ("april", "march"):
        (tmp_path / "parts").mkdir(exist_ok=True)
        write_csv(tmp_path / "parts" / f"{name}.csv", columns)
    schema = infer_schema(load(tmp_path, "csv:parts"))
    write_csv(tmp_path / "parts" / "april.csv", {**columns, "width": [*columns["width"][:29], 400.0]})
    gaps = [*columns["load"][:12], "inf", *columns["load"][13:]]
    write_csv(tmp_path / "parts" / "march.csv", {**columns, "load": gaps})
    missing, outside = find_anomalies(load(tmp_path, "csv:parts"), schema)[:2]
    assert missing.places == ("march.csv row 12, column 'load'",)
    assert outside.places == ("april.csv row 29",)
    assert "'width': 1 rows hold values outside" in str(outside)
    some = find_anomalies(load(tmp_path, "csv:parts", limit=58), schema)
    assert {missing.places, outside.places} & {one.places for one in some}


def test_unknown_categories_and_scarce_classes_are_named_by_file_and_row(tmp_path: Path) -> None:
    """The first row of each unknown word, and the rows of a class that has too few."""
    (tmp_path / "parts").mkdir()
    for name in ("april", "march"):
        write_csv(tmp_path / "parts" / f"{name}.csv", table_columns(30))
    base = load(tmp_path, "csv:parts")
    columns = table_columns(30)
    columns["colour"][17] = "puce"
    write_csv(tmp_path / "parts" / "march.csv", columns)
    with pytest.raises(DataError, match=r"\('puce' in march\.csv row 17\)"):
        load_source(DataSection(source="csv:parts"), tmp_path, known=base.features)
    columns = table_columns(30)
    columns["label"][21] = "maybe"
    write_csv(tmp_path / "parts" / "march.csv", columns)
    data = load(tmp_path, "csv:parts")
    assert ("march.csv row 21",) in [one.places for one in find_anomalies(data, infer_schema(data)) if one.fatal]
    (new,) = find_anomalies(data, infer_schema(base))
    assert str(new) == "labels: got ['maybe', 'no', 'yes'], expected ['no', 'yes'] (march.csv row 21)"


def test_an_absent_column_is_answered_with_the_nearest_and_a_plain_path(tmp_path: Path) -> None:
    """Whatever the case; where a link makes `..` another place, the path stays as it was written."""
    write_csv(tmp_path / "d.csv", {**{f"x{index}": [1, 2] for index in range(30)}, "Label": [0, 1]})
    (tmp_path / "project").mkdir()
    with pytest.raises(DataError) as refused:
        load(tmp_path / "project", "csv:../d.csv")
    assert refused.value.message.startswith(f"{tmp_path / 'd.csv'}: got columns 'x0', ")
    assert refused.value.hint == "did you mean 'Label'? [data] names columns"
    (tmp_path / "elsewhere" / "inner").mkdir(parents=True)
    (tmp_path / "project" / "link").symlink_to(tmp_path / "elsewhere" / "inner")
    write_csv(tmp_path / "elsewhere" / "d.csv", {"x": [1, 2], "label": [0, 1]})
    assert load(tmp_path / "project", "csv:link/../d.csv").features == (Feature(name="x"),)
