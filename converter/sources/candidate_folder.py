"""The candidate folder, read with distrust: every file is checked by hash before a byte of it is used.

Legend: B rows, K classes.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from converter.process.jobs import ModelKind
from fleet_contract.candidate import CANDIDATE_FILE, MODEL_CARD_FILE, MODEL_FILE, SAMPLES_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.errors import ContractError, DataError, NotFoundError
from fleet_contract.preprocessing import model_input
from fleet_contract.release import MAX_RELEASE_BYTES, MIN_GOLDEN_VECTORS
from fleet_contract.tensors import check_batch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

SAMPLE_ARRAYS: Final = ("calibration_inputs", "holdout_inputs", "holdout_labels", "holdout_slices")


@dataclass(frozen=True, slots=True)
class Samples:
    """Raw inputs of a candidate, rows first. `labels` are class indices, None where nobody knows them.

    `slices` are names, empty where there is none.
    """

    calibration: NDArray[np.generic]
    holdout: NDArray[np.generic]
    labels: NDArray[np.int64] | None
    slices: NDArray[np.str_]


@dataclass(frozen=True, slots=True)
class Source:
    """A candidate whose files were verified. `model` holds the model's files by their path inside of it."""

    candidate: Candidate
    model: Mapping[str, bytes]
    model_card: bytes
    samples: Samples
    kind: ModelKind = ModelKind.KERAS


def load_source(folder: Path) -> Source:
    """The verified candidate in `folder`.

    Raises:
        NotFoundError: `folder` holds no candidate.
        DataError: a file is missing, was changed, or is not what it should be; the message names it.
        ContractError: the candidate's parts contradict one another.
    """
    path = folder / CANDIDATE_FILE
    if not path.is_file():
        raise NotFoundError(f"{folder}: there is no {CANDIDATE_FILE}", hint="`edgeferry train` makes a candidate")
    try:
        candidate = decode(path.read_bytes(), Candidate, max_bytes=MAX_RELEASE_BYTES)
    except ContractError as error:
        raise DataError(f"{path}: {error.message}", hint="make the candidate again") from error
    _check_tensors(candidate)
    files = {name: _verified(folder / name, candidate) for name in (MODEL_FILE, SAMPLES_FILE, MODEL_CARD_FILE)}
    return Source(
        candidate=candidate,
        model={MODEL_FILE: files[MODEL_FILE]},
        model_card=files[MODEL_CARD_FILE],
        samples=_samples(files[SAMPLES_FILE], candidate, where=str(folder / SAMPLES_FILE)),
    )


def newest_candidate(folder: Path) -> Path:
    """The candidate below `folder` whose name, a time, is the last.

    Raises:
        NotFoundError: there is none.
    """
    found = sorted(path.parent for path in folder.glob(f"[!.]*/{CANDIDATE_FILE}"))
    if not found:
        raise NotFoundError(
            f"{folder}: there is no candidate",
            hint="`edgeferry train` makes one, or name its folder: edgeferry convert F",
        )
    return found[-1]


def _check_tensors(candidate: Candidate) -> None:
    counts = (len(candidate.inputs), len(candidate.outputs))
    if counts != (1, 1):
        raise ContractError.mismatch("candidate: inputs and outputs", got=counts, expected="(1, 1)")
    model_input(candidate.inputs[0], candidate.preprocessing)
    if candidate.outputs[0].shape != (len(candidate.labels),):
        raise ContractError.mismatch(
            "candidate: output shape",
            got=candidate.outputs[0].shape,
            expected=f"({len(candidate.labels)},), one score per label",
        )


def _verified(path: Path, candidate: Candidate) -> bytes:
    expected = candidate.files.get(path.name)
    if expected is None:
        raise DataError(f"{CANDIDATE_FILE}: no hash of {path.name}", hint="make the candidate again")
    if not path.is_file():
        raise DataError(f"{path}: missing, though {CANDIDATE_FILE} names it", hint="make the candidate again")
    data = path.read_bytes()
    got = hashlib.sha256(data).hexdigest()
    if got != expected:
        raise DataError(
            f"{path}: got SHA-256 {got}, expected {expected}",
            hint="the file was changed or only half written; make the candidate again",
        )
    return data


def _samples(data: bytes, candidate: Candidate, *, where: str) -> Samples:
    arrays = _arrays(data, where)
    calibration_B, holdout_B = arrays["calibration_inputs"], arrays["holdout_inputs"]
    for name, array_B in (("calibration_inputs", calibration_B), ("holdout_inputs", holdout_B)):
        _check_inputs(array_B, candidate, f"{where}: {name}")
    if len(holdout_B) < MIN_GOLDEN_VECTORS:
        raise DataError(
            f"{where}: got {len(holdout_B)} held-out rows, expected at least {MIN_GOLDEN_VECTORS}",
            hint="give the test split a larger share of the data",
        )
    return Samples(
        calibration=calibration_B,
        holdout=holdout_B,
        labels=class_indices(arrays["holdout_labels"], candidate.labels, len(holdout_B), f"{where}: holdout_labels"),
        slices=_slices(arrays["holdout_slices"], len(holdout_B), where),
    )


def _arrays(data: bytes, where: str) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            missing = [name for name in SAMPLE_ARRAYS if name not in archive]
            if missing:
                raise DataError(f"{where}: got {sorted(archive)}, expected also {', '.join(missing)}")
            return {name: archive[name] for name in SAMPLE_ARRAYS}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{where}: not a readable NPZ: {error}") from error


def _check_inputs(array_B: NDArray[Any], candidate: Candidate, what: str) -> None:
    spec = candidate.inputs[0]
    try:
        check_batch(array_B, spec)
    except ContractError as error:
        raise DataError(f"{what}: {error.message}") from error
    if array_B.dtype != spec.dtype.value:
        raise DataError(f"{what}: got dtype {array_B.dtype}, expected {spec.dtype}")


def class_indices(array: NDArray[Any], names: tuple[str, ...], count: int, what: str) -> NDArray[np.int64]:
    """Class indices of `count` labels that are indices or names.

    Raises:
        DataError: another shape, an index out of range or a name that is not there; the message begins with `what`.
    """
    if array.shape != (count,):
        raise DataError(f"{what}: got shape {list(array.shape)}, expected [{count}]")
    if array.dtype.kind == "U":
        positions = {name: index for index, name in enumerate(names)}
        array = np.array([positions.get(str(name), -1) for name in array])
    if array.dtype.kind not in "iu" or array.min() < 0 or array.max() >= len(names):
        raise DataError(f"{what}: expected indices below {len(names)} or names of labels")
    return array.astype(np.int64)


def _slices(array: NDArray[Any], count: int, where: str) -> NDArray[np.str_]:
    if array.size == 0:
        return np.full(count, "", dtype=np.str_)
    if array.shape != (count,) or array.dtype.kind != "U":
        raise DataError(
            f"{where}: holdout_slices: got {array.dtype} of shape {list(array.shape)}, expected {count} strings"
        )
    return array.astype(np.str_)
