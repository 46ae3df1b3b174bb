"""Small real candidates for the converter's tests, as the trainer would write them; models are trained once a session.

    folder = candidate("cnn", tmp_path / "candidate")

Training runs in a child process, so that the tests' own process stays free of TensorFlow.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from converter.archive import encode_npz
from fleet_contract.candidate import (
    CANDIDATE_FILE,
    MODEL_CARD_FILE,
    MODEL_FILE,
    SAMPLES_FILE,
    Candidate,
    VariantGates,
)
from fleet_contract.codec import encode
from fleet_contract.preprocessing import Scale
from fleet_contract.release import Evaluation, GateResult, Lineage, SliceEvaluation, Verdict
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

ALL_RECIPES = ("tflite-f32", "tflite-int8", "onnx-f32", "onnx-int8")
TRAIN_ROWS = 1397
_ROOT = Path(__file__).resolve().parents[2]


class RecordingProgress:
    """A Progress that remembers what it was told."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.remarks: list[str] = []

    def stage(self, name: str) -> None:
        """Remembers the stage."""
        self.stages.append(name)

    def remark(self, text: str) -> None:
        """Remembers the remark."""
        self.remarks.append(text)


def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The 1,797 digits of scikit-learn as raw uint8 images (B, 8, 8, 1) with values 0 to 16, and their classes."""
    from sklearn.datasets import load_digits

    data, labels = load_digits(return_X_y=True)
    return data.reshape(-1, 8, 8, 1).astype(np.uint8), labels.astype(np.int64)


def candidate(kind: str, folder: Path, **changes: Any) -> Path:
    """Writes the candidate `kind` (`cnn` or `lstm`) to `folder`; `changes` replace fields of `candidate.json`."""
    return write_candidate(folder, (_models() / f"{kind}.keras").read_bytes(), **changes)


def write_candidate(folder: Path, model_bytes: bytes, samples: bytes | None = None, **changes: Any) -> Path:
    """A candidate folder around any model bytes, with the digits as samples unless others are given."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        MODEL_FILE: model_bytes,
        SAMPLES_FILE: samples if samples is not None else digit_samples(),
        MODEL_CARD_FILE: b"---\nlicense: apache-2.0\n---\n# digits\n",
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    document = msgspec.structs.replace(candidate_document(hashes), **changes)
    (folder / CANDIDATE_FILE).write_bytes(encode(document))
    return folder


def digit_samples(*, slices: bool = True) -> bytes:
    """`samples.npz`: 100 calibration rows of the training part, 400 held-out rows, odd and even ones as slices."""
    images, labels = digits()
    names = np.where(np.arange(len(labels) - TRAIN_ROWS) % 2, "odd", "even").astype(np.str_)
    return encode_npz(
        {
            "calibration_inputs": images[:100],
            "holdout_inputs": images[TRAIN_ROWS:],
            "holdout_labels": labels[TRAIN_ROWS:],
            "holdout_slices": names if slices else np.array([], dtype=np.str_),
        }
    )


def candidate_document(files: dict[str, str]) -> Candidate:
    """`candidate.json` of a digits classifier that passed its validation."""
    return Candidate(
        model="digits",
        created_at=datetime(2026, 11, 23, 10, 0, tzinfo=UTC),
        inputs=(TensorSpec(name="image", dtype=DType.UINT8, shape=(8, 8, 1)),),
        outputs=(TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(10,)),),
        labels=tuple("0123456789"),
        preprocessing=(Scale(factor=1 / 16),),
        files=files,
        evaluation=Evaluation(
            overall=SliceEvaluation(name="all", sample_count=400, accuracy=0.95, low=0.92, high=0.97)
        ),
        verdict=Verdict(
            passed=True, gates=(GateResult(gate="min-accuracy", passed=True, measured=0.95, threshold=0.9),)
        ),
        lineage=Lineage(
            data_snapshot_sha256="a" * 64,
            data_source="builtin:digits",
            schema_sha256="b" * 64,
            run_id="run-1",
            tool_versions={"trainer.keras": "3.15.1"},
        ),
        recipes=ALL_RECIPES,
        gates=VariantGates(),
    )


def failed_verdict() -> Verdict:
    """The verdict of a model that is not good enough."""
    gate = GateResult(gate="min-accuracy", passed=False, measured=0.4, threshold=0.9)
    return Verdict(passed=False, gates=(gate,))


@cache
def _models() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="edgeferry-test-models-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    command = [sys.executable, "-m", "tests.fakes.converter_candidates", str(folder)]
    subprocess.run(command, check=True, cwd=_ROOT, capture_output=True, timeout=240)
    return folder


def _train_all(folder: Path) -> None:
    import keras
    from keras import layers

    images, labels = digits()
    inputs = images[:TRAIN_ROWS].astype(np.float32) / 16
    cnn = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    rolled = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Reshape((8, 8)),
            layers.LSTM(16),
            layers.Dense(10, activation="softmax"),
        ]
    )
    for name, model, epochs, rows in (("cnn", cnn, 8, TRAIN_ROWS), ("lstm", rolled, 1, 64)):
        keras.utils.set_random_seed(7)
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(inputs[:rows], labels[:rows], epochs=epochs, verbose=0)
        model.save(folder / f"{name}.keras")


if __name__ == "__main__":
    _train_all(Path(sys.argv[1]))
