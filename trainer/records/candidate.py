"""Writes the candidate folder of `fleet_contract.candidate`: whole or not at all, every file named by its hash."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from fleet_contract.candidate import CANDIDATE_FILE, MODEL_CARD_FILE, MODEL_FILE, SAMPLES_FILE, Candidate
from fleet_contract.codec import encode
from fleet_contract.errors import ModelError, StorageError

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.data.dataset import Dataset, Indices


@dataclass(frozen=True, slots=True)
class CandidateResult:
    """A candidate on disk: its folder and what `candidate.json` says."""

    folder: Path
    candidate: Candidate


@dataclass(frozen=True, slots=True)
class CandidateFiles:
    """What the files of a candidate hold, before they have hashes."""

    model: Any
    data: Dataset
    calibration_I: Indices
    holdout_I: Indices
    card: str


def fill_candidate_folder(folder: Path, files: CandidateFiles, draft: Candidate) -> Candidate:
    """Writes all files into the existing `folder`; returns `draft` with their hashes, as written to `candidate.json`.

    Raises:
        ModelError: Keras cannot save the model.
        StorageError: the disk is full or cannot be written.
    """
    _save_model(files.model, folder / MODEL_FILE)
    try:
        (folder / SAMPLES_FILE).write_bytes(_samples_npz(files))
        (folder / MODEL_CARD_FILE).write_text(files.card, encoding="utf-8")
        hashes = {name: _sha256(folder / name) for name in (MODEL_FILE, SAMPLES_FILE, MODEL_CARD_FILE)}
        candidate = msgspec.structs.replace(draft, files=hashes)
        (folder / CANDIDATE_FILE).write_bytes(msgspec.json.format(encode(candidate), indent=2) + b"\n")
    except OSError as error:
        raise StorageError(f"{folder}: cannot be written: {error}") from error
    return candidate


def _save_model(model: Any, path: Path) -> None:
    try:
        model.save(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error}") from error
    except Exception as error:  # a user's layer may raise anything
        raise ModelError(
            f"{path}: got {type(error).__name__}: {error}, expected a model that Keras can save",
            hint="custom layers need get_config() and @keras.saving.register_keras_serializable()",
        ) from error


def _samples_npz(files: CandidateFiles) -> bytes:
    """The same arrays give the same bytes."""
    holdout = files.data.rows(files.holdout_I)
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        calibration_inputs=files.data.inputs_B[files.calibration_I],
        holdout_inputs=holdout.inputs_B,
        holdout_labels=holdout.labels_B,
        holdout_slices=holdout.slices_B,
    )
    return buffer.getvalue()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
