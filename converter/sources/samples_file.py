"""The data sample that comes with a foreign model, read with distrust and split by seed. Legend: B rows.

    NPY    inputs, rows first
    NPZ    `inputs` (B, ...), and if there are any `labels` (B,), class indices or names, and `slices` (B,), names

The inputs are what the model eats: whatever preprocessing it needs has been done, or is in the model.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.calibration import MAX_CALIBRATION_ROWS, MAX_HOLDOUT_ROWS, MAX_SELECTION_ROWS, MIN_CALIBRATION_ROWS
from fleet_contract.errors import DataError, NotFoundError
from fleet_contract.release import MIN_GOLDEN_VECTORS
from fleet_contract.tensors import DType

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

MAX_SAMPLE_BYTES: Final = 4 * 1024**3
MIN_ROWS: Final = MIN_GOLDEN_VECTORS + 2 * MIN_CALIBRATION_ROWS
_KEPT: Final = frozenset(dtype.value for dtype in DType)
_NAMES: Final = ("inputs", "labels", "slices")


@dataclass(frozen=True, slots=True)
class SampleRows:
    """Rows of a sample; `labels` are class indices or names, `slices` names; None where the file has none."""

    inputs: NDArray[np.generic]
    labels: NDArray[np.generic] | None
    slices: NDArray[np.str_] | None
    sha256: str


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers, ascending, none in both."""

    calibration: NDArray[np.intp]
    holdout: NDArray[np.intp]


def read_samples(path: Path) -> SampleRows:
    """The sample at `path`.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is no NPZ or NPY, or its arrays are not numbers, not finite, or not of one length.
    """
    if not path.is_file():
        raise NotFoundError(
            f"{path}: there is no sample", hint="an NPZ with `inputs` (and `labels`), or an NPY of inputs"
        )
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    arrays = _arrays(data, str(path))
    inputs_B = _inputs(arrays["inputs"], f"{path}: inputs")
    return SampleRows(
        inputs=inputs_B,
        labels=_labels(arrays.get("labels"), len(inputs_B), f"{path}: labels"),
        slices=_slices(arrays.get("slices"), len(inputs_B), f"{path}: slices"),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def split_rows(count: int, seed: int) -> Split:
    """Which rows calibrate and which are held out: half each, and at least MIN_GOLDEN_VECTORS held out.

    Raises:
        DataError: there are too few rows for both.
    """
    if count < MIN_ROWS:
        raise DataError(
            f"samples: got {count} rows, expected at least {MIN_ROWS}: {MIN_GOLDEN_VECTORS} to judge on and"
            f" {MIN_ROWS - MIN_GOLDEN_VECTORS} to calibrate with",
            hint="some hundred rows of real inputs are better; a thousand give narrow intervals",
        )
    order = np.random.default_rng(seed).permutation(count)
    holdout_count = min(MAX_HOLDOUT_ROWS, max(MIN_GOLDEN_VECTORS, count // 2))
    calibration_count = min(MAX_CALIBRATION_ROWS + MAX_SELECTION_ROWS, count - holdout_count)
    holdout, calibration = order[:holdout_count], order[holdout_count : holdout_count + calibration_count]
    return Split(calibration=np.sort(calibration).astype(np.intp), holdout=np.sort(holdout).astype(np.intp))


def _arrays(data: bytes, where: str) -> Mapping[str, NDArray[Any]]:
    try:
        if data.startswith(np.lib.format.MAGIC_PREFIX):
            return {"inputs": np.load(io.BytesIO(data), allow_pickle=False)}
        _check_archive(data, where)
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            if "inputs" not in archive:
                raise DataError(f"{where}: got {sorted(archive)}, expected an array named `inputs`")
            return {name: archive[name] for name in _NAMES if name in archive}
    except (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, MemoryError, NotImplementedError) as error:
        raise DataError(
            f"{where}: not a readable NPZ or NPY: {error}", hint="numpy.savez(path, inputs=..., labels=...)"
        ) from error


def _check_archive(data: bytes, where: str) -> None:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        size_bytes = sum(member.file_size for member in archive.infolist())
    if size_bytes > MAX_SAMPLE_BYTES:
        raise DataError(f"{where}: got {size_bytes} bytes of arrays, expected at most {MAX_SAMPLE_BYTES}")


def _inputs(array_B: NDArray[Any], what: str) -> NDArray[np.generic]:
    if array_B.dtype.kind not in "iuf":
        raise DataError(f"{what}: got dtype {array_B.dtype}, expected numbers")
    if array_B.ndim < 2 or array_B.size == 0:
        raise DataError(f"{what}: got shape {list(array_B.shape)}, expected rows first and at least one more axis")
    bad_rows = int((~np.isfinite(array_B)).reshape(len(array_B), -1).any(axis=1).sum())
    if bad_rows:
        raise DataError(f"{what}: {bad_rows} of {len(array_B)} rows hold NaN or infinity, expected finite numbers")
    kept: NDArray[np.generic] = array_B if array_B.dtype.name in _KEPT else array_B.astype(np.float32)
    if not np.isfinite(kept).all():
        raise DataError(f"{what}: got values beyond the range of float32")
    return kept


def _labels(array_B: NDArray[Any] | None, count: int, what: str) -> NDArray[np.generic] | None:
    if array_B is None:
        return None
    if array_B.shape != (count,) or array_B.dtype.kind not in "iuU":
        raise DataError(
            f"{what}: got {array_B.dtype} of shape {list(array_B.shape)}, expected {count} class indices or names"
        )
    return array_B


def _slices(array_B: NDArray[Any] | None, count: int, what: str) -> NDArray[np.str_] | None:
    if array_B is None:
        return None
    if array_B.shape != (count,) or array_B.dtype.kind != "U":
        raise DataError(f"{what}: got {array_B.dtype} of shape {list(array_B.shape)}, expected {count} strings")
    return array_B.astype(np.str_)
