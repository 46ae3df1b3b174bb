"""An NPZ file as a source: arrays `inputs` and `labels`, and, where wanted, `label_names`, slices, groups and times.

Only the arrays that are wanted are read, none before its header was looked at: what would not fit into memory is
refused before any of it is unpacked, and nothing is ever unpickled. `labels` are strings, or integers that index
`label_names`; without `label_names` each distinct value is a class.
"""

from __future__ import annotations

import math
import zipfile
import zlib
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from fleet_contract.errors import DataError
from fleet_contract.tensors import DType
from trainer.data.dataset import Dataset, no_slices
from trainer.data.places import Places
from trainer.sources.limits import require_fits

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from trainer.data.dataset import Labels, RawInputs, Slices, Times

DEFAULT_MAX_BYTES: Final = 4 * 1024**3
MAX_SHOWN: Final = 20


def load_npz(
    path: Path, *, slices_name: str = "", group: str = "", time: str = "", max_bytes: int = DEFAULT_MAX_BYTES
) -> Dataset:
    """The data in the NPZ file at `path`; float64 inputs become float32.

    Raises:
        DataError: missing, truncated, pickled, larger than `max_bytes` in memory, or arrays that are absent or do not
            fit each other.
    """
    wanted = ("inputs", "labels", *filter(None, (slices_name, group, time)))
    arrays = _read(path, wanted, max_bytes)
    inputs_B = _checked_inputs(arrays["inputs"], path)
    _check_length(arrays["labels"], "labels", len(inputs_B), path)
    labels_B, label_names = _index_labels(arrays["labels"], arrays.get("label_names"), path)
    return Dataset(
        inputs_B=inputs_B,
        labels_B=labels_B,
        label_names=label_names,
        slices_B=_slices(arrays, slices_name, len(inputs_B), path),
        source=f"npz:{path.name}",
        groups_B=_slices(arrays, group, len(inputs_B), path) if group else None,
        times_B=_times(arrays[time], time, len(inputs_B), path) if time else None,
        places=Places.of([path.name], [len(inputs_B)]),
    )


def _read(path: Path, wanted: Sequence[str], max_bytes: int) -> dict[str, NDArray[Any]]:
    try:
        with path.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path}: got a single array, expected an NPZ archive with `inputs` and `labels`")
            absent = [name for name in wanted if name not in archive.files]
            if absent:
                found = sorted(archive.files)[:MAX_SHOWN]
                raise DataError(f"{path}: got arrays {found}, expected one named {absent[0]!r}")
            names = [name for name in archive.files if name in (*wanted, "label_names")]
            size_bytes = sum(_size_bytes(archive, name) for name in names)
            require_fits(str(path), size_bytes, max_bytes)
            return {name: archive[name] for name in names}
    except (OSError, EOFError, ValueError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(
            f"{path}: got {type(error).__name__}: {error}, expected a readable NPZ file without pickles",
            hint="write it with numpy.savez_compressed(path, inputs=..., labels=...)",
        ) from error


def _size_bytes(archive: np.lib.npyio.NpzFile, name: str) -> int:
    """What the array takes in memory by its own header, which is all that is read here.

    Raises:
        ValueError: a header that numpy cannot read, or a pickle.
    """
    member = f"{name}.npy" if f"{name}.npy" in archive.zip.namelist() else name  # type: ignore[union-attr]  # open
    with archive.zip.open(member) as file:  # type: ignore[union-attr]  # likewise
        version = np.lib.format.read_magic(file)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(file)
    if dtype.hasobject:
        raise ValueError(f"array {name!r} holds Python objects (a pickle)")
    return math.prod(shape) * int(dtype.itemsize)


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


def _times(raw_B: NDArray[Any], name: str, count: int, path: Path) -> Times:
    """Numbers, or datetime64 as Unix seconds."""
    _check_length(raw_B, name, count, path)
    if raw_B.dtype.kind == "M":
        missing_B = np.isnat(raw_B)
        times_B = raw_B.astype("datetime64[us]").astype(np.int64) / 1e6
    elif raw_B.dtype.kind in "iuf":
        missing_B = ~np.isfinite(raw_B)
        times_B = raw_B.astype(np.float64)
    else:
        raise DataError(f"{path}: {name}: got dtype {raw_B.dtype.name}, expected numbers or datetime64")
    if missing_B.any():
        raise DataError(f"{path}: {name}: row {int(missing_B.argmax())}: got no time, expected one")
    return np.asarray(times_B, np.float64)


def _slices(arrays: dict[str, NDArray[Any]], name: str, count: int, path: Path) -> Slices:
    if not name:
        return no_slices(count)
    _check_length(arrays[name], name, count, path)
    return arrays[name].astype(np.str_)
