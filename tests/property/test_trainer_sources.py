"""Whatever bytes a file holds, a source gives whole data or a `DataError`; whatever a table holds, it comes back."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet_contract.errors import DataError
from fleet_contract.features import encode_rows
from tests.fakes.trainer_files import load, table_columns, write_csv, write_image_folder, write_parquet
from tests.fakes.trainer_projects import make_images

FLOATS = st.floats(allow_nan=False, allow_infinity=False, width=32)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="\n\r\0"), min_size=1, max_size=8).map(
    lambda w: f"w{w}"
)
ROWS = st.lists(st.tuples(FLOATS, WORDS, st.integers(0, 3)), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS)
def test_a_table_comes_back_from_csv_as_from_parquet(rows: list[tuple[float, str, int]]) -> None:
    """Any numbers, any words and any labels: both files give the same bits, and serving encodes the same."""
    numbers, words, labels = (list(column) for column in zip(*rows, strict=True))
    columns = {"n": numbers, "w": words, "label": labels}
    with tempfile.TemporaryDirectory() as name:
        write_csv(Path(name, "d.csv"), columns)
        write_parquet(Path(name, "d.parquet"), columns)
        first, second = load(Path(name), "csv:d.csv"), load(Path(name), "parquet:d.parquet")
    assert first.inputs_B.tobytes() == second.inputs_B.tobytes() == encode_rows(columns, first.features).tobytes()
    assert np.array_equal(first.inputs_B[:, 0], np.asarray(numbers, np.float32))
    assert [first.features[1].categories[int(code)] for code in first.inputs_B[:, 1]] == words
    assert [int(first.label_names[index]) for index in first.labels_B] == labels
    assert first.label_names == second.label_names


def whole_file(scheme: str) -> bytes:
    """A sound file of that kind."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "d")
        match scheme:
            case "csv":
                write_csv(path, table_columns(20))
            case "parquet":
                write_parquet(path, table_columns(20))
            case "npz":
                images_B, labels_B = make_images(20)
                np.savez(path, inputs=images_B, labels=labels_B)
                path = path.with_suffix(".npz")
            case _:
                path = write_image_folder(path, each=1) / "cat" / "00000.png"
        return path.read_bytes()


@pytest.mark.parametrize("scheme", ["csv", "parquet", "npz", "images"])
@settings(max_examples=60, deadline=None)
@given(edits=st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=4)), max_size=4), kept=st.floats(0.2, 1))
def test_a_damaged_file_is_read_or_refused(scheme: str, edits: list[tuple[float, bytes]], kept: float) -> None:
    """Bytes overwritten anywhere and an end cut off never give another kind of error, nor rows that do not fit."""
    content = bytearray(whole_file(scheme))
    for place, patch in edits:
        start = int(place * len(content))
        content[start : start + len(patch)] = patch
    with tempfile.TemporaryDirectory() as name:
        path = Path(name, "d", "cat", "x.png") if scheme == "images" else Path(name, "d")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content[: int(kept * len(content))])
        try:
            data = load(Path(name), f"{scheme}:d", max_bytes=10_000_000)
        except DataError:
            return
    assert len(data.inputs_B) == len(data.labels_B) == len(data.slices_B) > 0
    assert data.labels_B.max() < len(data.label_names)
