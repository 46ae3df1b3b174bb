"""NPZ files as a source, whole and broken."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from fleet_contract.errors import DataError
from trainer.sources.npz import load_npz

if TYPE_CHECKING:
    from pathlib import Path

INPUTS = np.zeros((4, 2), np.float32)


def test_string_labels_become_indices(tmp_path: Path) -> None:
    """Without label names, each distinct label is a class, in order."""
    np.savez(tmp_path / "d.npz", inputs=INPUTS, labels=np.asarray(["b", "a", "b", "c"]))
    data = load_npz(tmp_path / "d.npz")
    assert data.label_names == ("a", "b", "c")
    assert data.labels_B.tolist() == [1, 0, 1, 2]


def test_sparse_integer_labels_become_classes(tmp_path: Path) -> None:
    """Integers need not start at 0 nor be dense."""
    np.savez(tmp_path / "d.npz", inputs=INPUTS, labels=np.asarray([7, 3, 7, 3]))
    data = load_npz(tmp_path / "d.npz")
    assert data.label_names == ("3", "7")
    assert data.labels_B.tolist() == [1, 0, 1, 0]


def test_slices_are_taken_by_name_and_doubles_become_floats(tmp_path: Path) -> None:
    """The array named by `[data] slices` gives each row its slice; float64 is not a dtype of models."""
    path = tmp_path / "d.npz"
    np.savez(path, inputs=INPUTS.astype(np.float64), labels=[0, 1, 0, 1], site=["x", "y", "x", "x"])
    data = load_npz(path, slices_name="site")
    assert data.slices_B.tolist() == ["x", "y", "x", "x"]
    assert data.inputs_B.dtype == np.float32


BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "no labels": ({"inputs": INPUTS}, "", "expected one named 'labels'"),
    "no such slices": ({"inputs": INPUTS, "labels": [0, 1, 0, 1]}, "site", "expected one named 'site'"),
    "too few labels": ({"inputs": INPUTS, "labels": [0, 1]}, "", "got shape [2], expected [4]"),
    "fractional labels": ({"inputs": INPUTS, "labels": [0.5, 1, 0, 1]}, "", "expected integers or strings"),
    "label out of range": (
        {"inputs": INPUTS, "labels": [0, 1, 2, -1], "label_names": ["a", "b"]}, "", "2 out of range, for instance 2"),
    "label not among names": (
        {"inputs": INPUTS, "labels": ["a", "b", "z", "a"], "label_names": ["a", "b"]}, "", "got ['z']"),
    "a name twice": ({"inputs": INPUTS, "labels": [0, 1, 0, 1], "label_names": ["a", "a"]}, "", "each name once"),
    "complex inputs": ({"inputs": INPUTS.astype(complex), "labels": [0, 1, 0, 1]}, "", "dtype complex128"),
    "no rows": ({"inputs": INPUTS[:0], "labels": []}, "", "got shape [0, 2]"),
}  # fmt: skip


@pytest.mark.parametrize(("arrays", "slices", "message"), BROKEN.values(), ids=BROKEN)
def test_refuses(tmp_path: Path, arrays: dict[str, Any], slices: str, message: str) -> None:
    """Arrays that do not fit each other are refused, naming the file and the fault."""
    np.savez(tmp_path / "d.npz", **arrays)
    with pytest.raises(DataError) as caught:
        load_npz(tmp_path / "d.npz", slices_name=slices)
    assert message in caught.value.message
    assert "d.npz" in caught.value.message


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_refuses_a_truncated_file(tmp_path: Path, kept: int) -> None:
    """A file cut anywhere is named with what was expected."""
    path = tmp_path / "d.npz"
    np.savez(path, inputs=INPUTS, labels=[0, 1, 0, 1])
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"d\.npz.*expected a readable NPZ"):
        load_npz(path)


def test_refuses_a_missing_file_a_pickle_and_a_bare_array(tmp_path: Path) -> None:
    """Nothing is unpickled, ever."""
    np.savez(tmp_path / "p.npz", inputs=np.asarray([{"a": 1}], dtype=object), labels=[0])
    np.save(tmp_path / "a.npy", INPUTS)
    for name in ("missing.npz", "p.npz", "a.npy"):
        with pytest.raises(DataError, match=name):
            load_npz(tmp_path / name)


def test_an_archive_that_would_not_fit_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    """A megabyte of zeros is a kilobyte of file: what counts is what it would take in memory."""
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, inputs=np.zeros((1000, 1000), np.uint8), labels=np.zeros(1000, np.int64))
    assert path.stat().st_size < 5000
    with pytest.raises(DataError, match=r"bomb\.npz: got 1,008,000 bytes in memory, expected at most 100,000"):
        load_npz(path, max_bytes=100_000)


def test_a_header_that_lies_is_refused(tmp_path: Path) -> None:
    """An array that says it has more elements than the archive holds is cut short; one of terabytes is never made."""
    import zipfile

    for shape, words in (((10**9, 10**4), "bytes in memory"), ((3, 5), "expected a readable NPZ")):
        path = tmp_path / "lie.npz"
        with zipfile.ZipFile(path, "w") as archive:
            for name in ("inputs", "labels"):
                header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
                archive.writestr(
                    f"{name}.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
                )
        with pytest.raises(DataError, match=words):
            load_npz(path)


def test_arrays_that_are_not_wanted_are_not_read(tmp_path: Path) -> None:
    """A pickle beside the data is nobody's business, and stays unread."""
    path = tmp_path / "d.npz"
    np.savez(path, inputs=INPUTS, labels=[0, 1, 0, 1], notes=np.asarray([{"a": 1}], dtype=object))
    assert len(load_npz(path)) == 4


def test_groups_and_times_are_taken_by_name(tmp_path: Path) -> None:
    """Groups become words, dates become Unix seconds; a row without a time is named."""
    path = tmp_path / "d.npz"
    days = np.asarray(["1970-01-02", "1970-01-03", "1970-01-01", "1970-01-02"], "datetime64[D]")
    np.savez(path, inputs=INPUTS, labels=[0, 1, 0, 1], subject=[7, 7, 8, 9], day=days)
    data = load_npz(path, group="subject", time="day")
    assert data.groups_B is not None
    assert data.groups_B.tolist() == ["7", "7", "8", "9"]
    assert data.times_B is not None
    assert data.times_B.tolist() == [86400.0, 172800.0, 0.0, 86400.0]
    days[2] = np.datetime64("NaT")
    np.savez(path, inputs=INPUTS, labels=[0, 1, 0, 1], day=days)
    with pytest.raises(DataError, match=r"d\.npz: day: row 2: got no time"):
        load_npz(path, time="day")
