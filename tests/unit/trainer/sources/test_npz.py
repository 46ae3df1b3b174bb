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
