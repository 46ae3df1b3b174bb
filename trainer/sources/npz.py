"""An NPZ file as a source: arrays `inputs` and `labels`, and, where wanted, `label_names` and slices.

`labels` are strings, or integers that index `label_names`; without `label_names` each distinct value is a class.
"""

from __future__ import annotations

import zipfile
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.errors import DataError
from fleet_contract.tensors import DType
from trainer.dataset import Dataset, no_slices

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.dataset import Labels, RawInputs, Slices


def load_npz(path: Path, *, slices_name: str = "") -> Dataset:
    """The data in the NPZ file at `path`; float64 inputs become float32.

    Raises:
        DataError: missing, truncated, pickled, or arrays that are absent or do not fit each other.
    """
    arrays = _read(path)
    for name in ("inputs", "labels", *([slices_name] if slices_name else [])):
        if name not in arrays:
            raise DataError(f"{path}: got arrays {sorted(arrays)}, expected one named {name!r}")
    inputs_B = _checked_inputs(arrays["inputs"], path)
    _check_length(arrays["labels"], "labels", len(inputs_B), path)
    labels_B, label_names = _index_labels(arrays["labels"], arrays.get("label_names"), path)
    return Dataset(
        inputs_B=inputs_B,
        labels_B=labels_B,
        label_names=label_names,
        slices_B=_slices(arrays, slices_name, len(inputs_B), path),
        source=f"npz:{path.name}",
    )


def _read(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: got a single array, expected an NPZ archive with `inputs` and `labels`")
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: got {type(error).__name__}: {error}, expected a readable NPZ file without pickles",
            hint="write it with numpy.savez_compressed(path, inputs=..., labels=...)",
        ) from error


def _checked_inputs(inputs_B: RawInputs, path: Path) -> RawInputs:
    if inputs_B.ndim < 2 or len(inputs_B) == 0:
        raise DataError(f"{path}: inputs: got shape {list(inputs_B.shape)}, expected rows of at least one axis")
    if inputs_B.dtype == np.float64:
        inputs_B = inputs_B.astype(np.float32)
    if inputs_B.dtype.name not in tuple(DType):
        raise DataError(f"{path}: inputs: got dtype {inputs_B.dtype.name}, expected one of {', '.join(DType)}")
    return inputs_B


def _check_length(array_B: NDArray[Any], name: str, count: int, path: Path) -> None:
    if array_B.shape != (count,):
        raise DataError(f"{path}: {name}: got shape {list(array_B.shape)}, expected [{count}] as inputs have rows")


def _index_labels(raw_B: NDArray[Any], names: NDArray[Any] | None, path: Path) -> tuple[Labels, tuple[str, ...]]:
    if raw_B.dtype.kind not in "iuU":
        raise DataError(f"{path}: labels: got dtype {raw_B.dtype.name}, expected integers or strings")
    if names is None:
        values, labels_B = np.unique(raw_B, return_inverse=True)
        return labels_B.astype(np.int64), tuple(str(value) for value in values)
    label_names = tuple(str(name) for name in names.reshape(-1))
    if len(set(label_names)) != len(label_names):
        raise DataError(f"{path}: label_names: got {list(label_names)}, expected each name once")
    if raw_B.dtype.kind == "U":
        return _index_strings(raw_B, label_names, path), label_names
    _check_range(raw_B, label_names, path)
    return raw_B.astype(np.int64), label_names


def _index_strings(raw_B: NDArray[Any], label_names: tuple[str, ...], path: Path) -> Labels:
    index = {name: number for number, name in enumerate(label_names)}
    unknown = sorted({str(value) for value in raw_B} - set(label_names))
    if unknown:
        raise DataError(f"{path}: labels: got {unknown[:5]}, expected one of {list(label_names)}")
    return np.asarray([index[str(value)] for value in raw_B], np.int64)


def _check_range(raw_B: NDArray[Any], label_names: tuple[str, ...], path: Path) -> None:
    outside_I = np.flatnonzero((raw_B < 0) | (raw_B >= len(label_names)))
    if len(outside_I):
        raise DataError(
            f"{path}: labels: got {len(outside_I)} out of range, for instance {int(raw_B[outside_I[0]])} in row "
            f"{int(outside_I[0])}, expected 0 to {len(label_names) - 1}"
        )


def _slices(arrays: dict[str, NDArray[Any]], name: str, count: int, path: Path) -> Slices:
    if not name:
        return no_slices(count)
    _check_length(arrays[name], name, count, path)
    return arrays[name].astype(np.str_)
