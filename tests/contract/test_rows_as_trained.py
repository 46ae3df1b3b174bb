"""One file, two readers: the trainer's source and the prediction's portions make the same bits of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from converter.predict.decoding import decode_portion
from converter.predict.portions import Position
from converter.predict.sources.source import Reading, open_source
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.trainer_files import load, write_csv, write_image, write_image_folder, write_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset

NUMBERS = st.one_of(st.floats(allow_nan=True, allow_infinity=False, width=32), st.none())
WORDS = st.sampled_from(["red", "gr\u00fcn", 'b"l,ue', " white ", None])
ROW = st.tuples(NUMBERS, WORDS, st.sampled_from([True, False, None]), st.sampled_from([1, 2, 10, None]))
TEXT_OF_MISSING = st.sampled_from(["", "NA", "N/A", "nan", "null"])
FEATURES = ("number", "word", "flag", "floor")


def predicted(path: Path, data: Dataset, **options: Any) -> NDArray[np.generic]:
    """What the prediction makes of all rows, in portions of three; none of them is bad."""
    raw = TensorSpec(name="x", dtype=DType(data.inputs_B.dtype.name), shape=data.sample_shape)
    if data.images is not None:
        options["images"] = data.images
    source = open_source(path, Reading(raw=raw, features=data.features, **options))
    parts = [
        decode_portion(source.form, raw, portion.span, portion.payload) for portion in source.portions(3, Position())
    ]
    assert [bad for part in parts for bad in part.bad] == []
    return np.concatenate([part.raw_G for part in parts])


def assert_same_bits(got_B: NDArray[np.generic], expected_B: NDArray[np.generic]) -> None:
    """Element types, shapes and bits are those expected, of NaN too."""
    assert (got_B.dtype, got_B.shape) == (expected_B.dtype, expected_B.shape)
    assert got_B.tobytes() == expected_B.tobytes()


def csv_columns(rows: list[tuple[Any, ...]], missing: str) -> dict[str, list[str]]:
    """The rows as text, with a first one in which nothing is missing and a label."""
    columns = zip((0.5, "red", True, 1), *rows, strict=True)
    texts = [[missing if value is None else str(value) for value in column] for column in columns]
    labels = ["yes" if index % 2 else "no" for index in range(len(rows) + 1)]
    return {"label": labels, **dict(zip(reversed(FEATURES), reversed(texts), strict=True))}


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=3, max_size=12), missing=TEXT_OF_MISSING, separator=st.sampled_from(",;"))
def test_a_csv_file_gives_the_same_bits(rows: list[tuple[Any, ...]], missing: str, separator: str) -> None:
    """Numbers, missing values in any words, categories, truth values and whole numbers that are categories."""
    with tempfile.TemporaryDirectory() as name:
        path = write_csv(Path(name, "d.csv"), csv_columns(rows, missing), separator=separator)
        declared = {"label": "label", "features": FEATURES, "categorical": ("floor",), "separator": separator}
        data = load(Path(name), "csv:d.csv", **declared)
        assert_same_bits(predicted(path, data, separator=separator), data.inputs_B)


@settings(max_examples=40, deadline=None)
@given(rows=st.lists(ROW, min_size=3, max_size=12))
def test_a_parquet_file_gives_the_same_bits(rows: list[tuple[Any, ...]]) -> None:
    """The same of typed columns, where truth values are numbers."""
    columns = dict(zip(FEATURES, map(list, zip((0.5, "red", True, 1), *rows, strict=True)), strict=True))
    with tempfile.TemporaryDirectory() as name:
        path = write_parquet(
            Path(name, "d.parquet"), {"label": [index % 2 for index in range(len(rows) + 1)], **columns}
        )
        data = load(Path(name), "parquet:d.parquet", label="label", categorical=("floor",))
        assert_same_bits(predicted(path, data), data.inputs_B)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_of_files_gives_the_same_bits(tmp_path: Path, kind: str) -> None:
    """Files by name, their columns in any order."""
    (tmp_path / "d").mkdir()
    write = write_csv if kind == "csv" else write_parquet
    write(tmp_path / "d" / f"2.{kind}", {"w": ["a", "b"], "n": [1.5, 2.5], "label": [0, 1]})
    write(tmp_path / "d" / f"10.{kind}", {"label": [1, 0], "n": [3.5, 4.5], "w": ["c", "a"]})
    data = load(tmp_path, f"{kind}:d", label="label")
    assert_same_bits(predicted(tmp_path / "d", data), data.inputs_B)


@pytest.mark.parametrize(
    "asked", [{}, {"image_size": (5, 7)}, {"channels": 3}, {"image_size": (9, 3), "channels": 1}], ids=str
)
def test_image_files_give_the_same_bits(tmp_path: Path, asked: dict[str, Any]) -> None:
    """Upright by EXIF, of any size and of any channels, as far as the training took such."""
    from PIL import Image

    folder, rng = write_image_folder(tmp_path / "i", each=3), np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(folder / "cat" / "held.jpg", rng.integers(0, 256, (4, 6), np.uint8), exif=exif)
    if "image_size" in asked:
        write_image(folder / "dog" / "large.jpg", rng.integers(0, 256, (30, 20), np.uint8))
    if "channels" in asked:
        write_image(folder / "dog" / "rgb.png", rng.integers(0, 256, (6, 4, 3), np.uint8))
    data = load(tmp_path, "images:i", **asked)
    assert_same_bits(predicted(folder, data), data.inputs_B)


def test_an_image_that_training_would_have_refused_is_a_bad_row(tmp_path: Path) -> None:
    """Another size, and other channels, where nothing was asked for."""
    folder = write_image_folder(tmp_path / "i", each=1)
    data = load(tmp_path, "images:i")
    write_image(folder / "dog" / "rgb.png", np.zeros((6, 4, 3), np.uint8))
    write_image(folder / "dog" / "wide.png", np.zeros((6, 9), np.uint8))
    raw = TensorSpec(name="x", dtype=DType.UINT8, shape=data.sample_shape)
    assert data.images is not None
    source = open_source(folder, Reading(raw=raw, images=data.images))
    (portion,) = source.portions(9, Position())
    decoded = decode_portion(source.form, raw, portion.span, portion.payload)
    assert [(bad.row, bad.words) for bad in decoded.bad] == [
        (2, "got 3 channels, expected 1"),
        (3, "got 6 x 9 (height x width), expected 6 x 4"),
    ]


def test_the_first_photo_says_its_size_upright(tmp_path: Path) -> None:
    """Where no size is asked for, one that was held sideways does not refuse itself."""
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 8
    for name in ("a", "b"):
        write_image(tmp_path / "i" / name / "0.jpg", np.zeros((4, 6), np.uint8), exif=exif)
    assert load(tmp_path, "images:i").sample_shape == (6, 4, 1)
