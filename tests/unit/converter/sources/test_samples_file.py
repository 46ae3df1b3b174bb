"""The sample that comes with a foreign model."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from converter.archive import encode_npz
from converter.sources import samples_file
from converter.sources.samples_file import MIN_ROWS, read_samples, split_rows
from fleet_contract.errors import DataError, NotFoundError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def written(path: Path, **arrays: NDArray[Any]) -> Path:
    """An NPZ with those arrays."""
    path.write_bytes(encode_npz(arrays))
    return path


def test_inputs_labels_and_slices_are_read(tmp_path: Path) -> None:
    """Each comes back as it was; what the file does not have is None."""
    inputs_B = np.arange(6, dtype=np.uint8).reshape(3, 2)
    whole = read_samples(
        written(
            tmp_path / "all.npz", inputs=inputs_B, labels=np.array(["a", "b", "a"]), slices=np.array(["x", "", "x"])
        )
    )
    assert whole.inputs.dtype == np.uint8
    assert whole.labels is not None
    assert whole.labels.tolist() == ["a", "b", "a"]
    assert whole.slices is not None
    assert whole.slices.tolist() == ["x", "", "x"]
    np.save(tmp_path / "inputs.npy", inputs_B)
    bare = read_samples(tmp_path / "inputs.npy")
    assert (bare.labels, bare.slices) == (None, None)
    assert bare.sha256 != whole.sha256


def test_numbers_that_no_device_knows_become_float32(tmp_path: Path) -> None:
    """float64 and uint32 are cast; a value that float32 cannot hold is an error."""
    assert read_samples(written(tmp_path / "a.npz", inputs=np.ones((2, 2)))).inputs.dtype == np.float32
    assert read_samples(written(tmp_path / "b.npz", inputs=np.ones((2, 2), np.uint32))).inputs.dtype == np.float32
    with pytest.raises(DataError, match="beyond the range"), np.errstate(over="ignore"):
        read_samples(written(tmp_path / "c.npz", inputs=np.full((2, 2), 1e300)))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"rows": np.ones((2, 2))}, "expected an array named `inputs`"),
        ({"inputs": np.array([["a"]])}, "got dtype <U1, expected numbers"),
        ({"inputs": np.array([[True]])}, "got dtype bool"),
        ({"inputs": np.ones(4)}, r"got shape \[4\], expected rows first"),
        ({"inputs": np.ones((0, 4))}, r"got shape \[0, 4\]"),
        ({"inputs": np.array([[1.0], [np.nan], [np.inf]])}, "2 of 3 rows hold NaN or infinity"),
        ({"inputs": np.ones((2, 2)), "labels": np.array([1, 2, 3])}, "expected 2 class indices or names"),
        ({"inputs": np.ones((2, 2)), "labels": np.array([0.5, 1.0])}, "labels: got float64"),
        ({"inputs": np.ones((2, 2)), "slices": np.array([1, 2])}, "slices: got int64"),
    ],
)
def test_arrays_that_are_no_sample_are_refused(arrays: dict[str, NDArray[Any]], words: str, tmp_path: Path) -> None:
    """The message names the array, what it is and what was expected."""
    with pytest.raises(DataError, match=words):
        read_samples(written(tmp_path / "rows.npz", **arrays))


def test_files_that_are_no_arrays_are_refused(tmp_path: Path) -> None:
    """Garbage, half an archive and a missing file; nothing is ever unpickled."""
    path = tmp_path / "rows.npz"
    whole = encode_npz({"inputs": np.ones((20, 20))})
    objects = io.BytesIO()
    np.save(objects, np.array([[{}]], dtype=object), allow_pickle=True)
    for data in (b"", b"garbage", pickle.dumps([1]), whole[: len(whole) // 2], objects.getvalue()):
        path.write_bytes(data)
        with pytest.raises(DataError, match="not a readable NPZ or NPY"):
            read_samples(path)
    with pytest.raises(NotFoundError, match="there is no sample"):
        read_samples(tmp_path / "other.npz")


def test_an_archive_that_would_fill_the_memory_is_not_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file can hold gigabytes of zeros; its own list of sizes is looked at first."""
    monkeypatch.setattr(samples_file, "MAX_SAMPLE_BYTES", 1_000_000)
    path = tmp_path / "rows.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inputs.npy", bytes(2_000_000))
    with pytest.raises(DataError, match="expected at most 1000000"):
        read_samples(path)


def test_a_header_that_promises_more_than_the_file_has_is_refused(tmp_path: Path) -> None:
    """An NPY of a few bytes that claims terabytes does not allocate them."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**40, 8)})
    path = tmp_path / "rows.npy"
    path.write_bytes(header.getvalue())
    with pytest.raises(DataError, match="not a readable"):
        read_samples(path)


@pytest.mark.parametrize("count", [MIN_ROWS, 129, 1000, 50_000])
def test_the_split_shares_no_row_and_holds_enough_out(count: int) -> None:
    """Every use of a row is on one side; the same seed gives the same split, another seed another."""
    split = split_rows(count, 3)
    assert not set(split.calibration.tolist()) & set(split.holdout.tolist())
    assert 64 <= len(split.holdout) <= 5000
    assert 16 <= len(split.calibration) <= 1000
    assert split_rows(count, 3).holdout.tolist() == split.holdout.tolist()
    assert split_rows(count, 4).holdout.tolist() != split.holdout.tolist()


@pytest.mark.parametrize("count", [1, 64, MIN_ROWS - 1])
def test_too_few_rows_are_refused(count: int) -> None:
    """A calibration set of one row gives ranges of chance."""
    with pytest.raises(DataError, match=f"got {count} rows, expected at least {MIN_ROWS}"):
        split_rows(count, 0)
