"""Data that come with packages: digits, Fashion-MNIST's file format, and which of them is taken."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from fleet_contract.errors import ConfigError, DataError
from trainer.settings import DataSection
from trainer.sources.digits import digits_path, load_digits
from trainer.sources.fashion_mnist import load_fashion_mnist, read_idx
from trainer.sources.uri import load_source

NOWHERE = Path("/nonexistent")


def write_idx(path: Path, array: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], *, cut: int = 0) -> None:
    """Writes a gzipped IDX file, the last `cut` bytes missing."""
    header = bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape)
    content = header + array.tobytes()
    path.write_bytes(gzip.compress(content[: len(content) - cut]))


def write_fashion(folder: Path, *, rows: int = 4, label: int = 9) -> None:
    """Both parts, tiny."""
    folder.mkdir()
    for part in ("train", "t10k"):
        write_idx(folder / f"{part}-images-idx3-ubyte.gz", np.full((rows, 28, 28), 7, np.uint8))
        write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.full(rows, label, np.uint8))


def test_digits_are_small_bytes() -> None:
    """scikit-learn's file gives 1,797 images of 8x8x1 with values 0 to 16."""
    data = load_digits()
    assert data.inputs_B.shape == (1797, 8, 8, 1)
    assert data.inputs_B.dtype == np.uint8
    assert (data.inputs_B.min(), data.inputs_B.max()) == (0, 16)
    assert np.bincount(data.labels_B).min() >= 174


def test_a_truncated_digits_file_is_named(tmp_path: Path) -> None:
    """A damaged installation says which file and what to do."""
    path = tmp_path / "digits.csv.gz"
    path.write_bytes(digits_path().read_bytes()[:1000])
    with pytest.raises(DataError, match=r"digits\.csv\.gz") as caught:
        load_digits(path)
    assert "reinstall" in caught.value.hint


def test_fashion_mnist_joins_both_parts(tmp_path: Path) -> None:
    """Train and t10k become one set of 28x28x1 bytes."""
    write_fashion(tmp_path / "f")
    data = load_fashion_mnist(tmp_path / "f")
    assert data.inputs_B.shape == (8, 28, 28, 1)
    assert data.label_names[data.labels_B[0]] == "Ankle boot"


def test_a_short_a_foreign_and_a_missing_idx_file_are_refused(tmp_path: Path) -> None:
    """Each names the file, what was got and what was expected."""
    write_idx(tmp_path / "short.gz", np.zeros((4, 28, 28), np.uint8), cut=5)
    (tmp_path / "foreign.gz").write_bytes(gzip.compress(b"hello, world"))
    (tmp_path / "plain.gz").write_bytes(b"hello, world")
    for name, words in (
        ("short.gz", "got 3147 bytes, expected 3152"),
        ("foreign.gz", "got IDX magic 68656c6c"),
        ("plain.gz", "expected a gzipped IDX file"),
        ("missing.gz", "expected a gzipped IDX file"),
    ):
        with pytest.raises(DataError) as caught:
            read_idx(tmp_path / name, rank=3)
        assert name in caught.value.message
        assert words in caught.value.message


def test_a_label_beyond_the_classes_is_refused(tmp_path: Path) -> None:
    """Fashion-MNIST has labels 0 to 9."""
    write_fashion(tmp_path / "f", label=10)
    with pytest.raises(DataError, match="got label 10"):
        load_fashion_mnist(tmp_path / "f")


def test_auto_takes_fashion_mnist_where_present_and_says_which(tmp_path: Path) -> None:
    """The source in words tells what `builtin:auto` took."""
    write_fashion(tmp_path / "f")
    settings = DataSection(source="builtin:auto")
    assert "fashion-mnist" in load_source(settings, NOWHERE, fashion_folder=tmp_path / "f").source
    assert "digits" in load_source(settings, NOWHERE, fashion_folder=tmp_path / "none").source


def test_limit_draws_rows_by_the_seed() -> None:
    """The same limit gives the same rows, from all over the file."""
    settings = DataSection(source="builtin:digits", limit=100)
    first, second = load_source(settings, NOWHERE), load_source(settings, NOWHERE)
    assert len(first) == 100
    assert np.array_equal(first.inputs_B, second.inputs_B)
    assert not np.array_equal(first.inputs_B, load_digits().inputs_B[:100])


@pytest.mark.parametrize("source", ["builtin:digit", "npz:", "csv:", "cvs:a.csv", ""])
def test_an_unknown_source_is_refused(source: str) -> None:
    """The error lists what there is."""
    with pytest.raises(ConfigError, match="builtin:digits"):
        load_source(DataSection(source=source), NOWHERE)
