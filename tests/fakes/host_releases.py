"""Small real releases for tests of the model host: digits as TFLite float, TFLite int8 and ONNX.

The models are made once, in a child process, and kept in the system's folder for temporary files under the digest
of the script that makes them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from device_agent.host.hosted import HostedRelease
from device_agent.host.loading import load_engine
from fleet_contract.codec import encode
from fleet_contract.device_profile import Runtime
from fleet_contract.preprocessing import Scale
from fleet_contract.reference_profile import HistogramReference, ReferenceProfile, SignalReference
from fleet_contract.release import (
    BlobRef,
    Evaluation,
    Lineage,
    ReleaseManifest,
    SliceEvaluation,
    Variant,
    VariantEvidence,
    Verdict,
)
from fleet_contract.signals import HISTOGRAM_BINS, HISTOGRAM_SIGNALS, frame_signals, signal_names
from fleet_contract.tensors import DType, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BUILDER = Path(__file__).with_name("host_release_builder.py")
_ZERO_SHA256 = "0" * 64
LABELS = tuple(f"digit-{digit}" for digit in range(10))
INPUT = TensorSpec(name="image", dtype=DType.UINT8, shape=(8, 8, 1))
OUTPUT = TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(10,))
FLOAT_INPUT = TensorSpec(name="image", dtype=DType.FLOAT32, shape=(8, 8, 1))


@dataclass(frozen=True)
class Digits:
    """Held-out raw inputs (B, 8, 8, 1), the float model's scores (B, 10) for them, and the true classes."""

    inputs: NDArray[np.uint8]
    outputs: NDArray[np.float32]
    classes: NDArray[np.int64]


@cache
def model_folder() -> Path:
    """Where the model files are."""
    digest = hashlib.sha256(_BUILDER.read_bytes()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"edgeferry-tests-{os.getuid()}-{digest}"
    if not folder.exists():
        making = Path(tempfile.mkdtemp(prefix="edgeferry-making-"))
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""}
        subprocess.run([sys.executable, str(_BUILDER), str(making)], check=True, capture_output=True, env=quiet)
        try:
            making.rename(folder)
        except OSError:  # another test process was faster
            shutil.rmtree(making)
    return folder


@cache
def digits() -> Digits:
    """The held-out digits."""
    with np.load(model_folder() / "held_out.npz") as archive:
        return Digits(archive["inputs"], archive["outputs"], archive["labels"])


def make_release(blobs: Path, variant_id: str = "tflite-f32", *, version: int = 1, **changes: Any) -> HostedRelease:
    """A release of the digits model whose blobs lie in `blobs`; `changes` replace fields of the manifest."""
    blobs.mkdir(parents=True, exist_ok=True)
    manifest = ReleaseManifest(
        model="digits",
        version=version,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        inputs=(INPUT,),
        outputs=(OUTPUT,),
        labels=LABELS,
        preprocessing=(Scale(factor=1 / 16),),
        variants=tuple(_variant(blobs, name) for name in ("tflite-f32", "tflite-int8", "onnx-f32")),
        golden=store_golden(blobs, digits().inputs[:64], digits().outputs[:64]),
        reference_profile=store_blob(blobs, encode(reference_profile()), "reference_profile.json"),
        model_card=store_blob(blobs, b"# digits\n", "README.md"),
        evaluation=Evaluation(overall=SliceEvaluation(name="all", sample_count=397, accuracy=0.9, low=0.87, high=0.93)),
        verdict=Verdict(passed=True, gates=()),
        lineage=Lineage(
            data_snapshot_sha256=_ZERO_SHA256, data_source="digits", schema_sha256=_ZERO_SHA256, run_id="test"
        ),
    )
    manifest = msgspec.structs.replace(manifest, **changes)
    return HostedRelease(manifest, hashlib.sha256(encode(manifest)).hexdigest(), variant_id, blobs)


def with_variant(release: HostedRelease, **changes: Any) -> HostedRelease:
    """The release with fields of its chosen variant replaced."""
    changed = msgspec.structs.replace(release.variant, **changes)
    variants = tuple(changed if one.id == changed.id else one for one in release.manifest.variants)
    manifest = msgspec.structs.replace(release.manifest, variants=variants)
    return HostedRelease(manifest, hashlib.sha256(encode(manifest)).hexdigest(), release.variant_id, release.blobs)


def with_own_golden(release: HostedRelease) -> HostedRelease:
    """The release with golden vectors that its own variant gives, for changed preprocessing."""
    engine = load_engine(release, threads=1)
    inputs = digits().inputs[:64]
    outputs = engine.infer(inputs).scores
    manifest = msgspec.structs.replace(release.manifest, golden=store_golden(release.blobs, inputs, outputs))
    return HostedRelease(manifest, hashlib.sha256(encode(manifest)).hexdigest(), release.variant_id, release.blobs)


def install(release: HostedRelease, state_dir: Path, slot: str = "main") -> None:
    """Makes `release` the slot's committed one, as the agent does; its blobs must be in `state_dir/blobs`."""
    (state_dir / "releases").mkdir(exist_ok=True)
    (state_dir / "releases" / f"{release.release_sha256}.json").write_bytes(encode(release.manifest))
    folder = state_dir / "slots" / slot
    folder.mkdir(parents=True, exist_ok=True)
    current = {
        "release_sha256": release.release_sha256,
        "variant_id": release.variant_id,
        "model": release.manifest.model,
        "version": release.manifest.version,
    }
    (folder / "new.json").write_bytes(encode(current))
    (folder / "new.json").replace(folder / "current.json")


def store_blob(blobs: Path, content: bytes, name: str) -> BlobRef:
    """Writes a blob under its digest."""
    digest = hashlib.sha256(content).hexdigest()
    (blobs / digest).write_bytes(content)
    return BlobRef(sha256=digest, size_bytes=len(content), name=name)


@cache
def reference_profile() -> ReferenceProfile:
    """The profile of the held-out digits."""
    data = digits()
    signals_BS = frame_signals(data.inputs.astype(np.float32) / np.float32(16), data.outputs)
    names = signal_names(10)
    return ReferenceProfile(
        sample_count=len(signals_BS),
        signals=tuple(
            SignalReference(name=name, mean=float(column.mean()), std=float(column.std()))
            for name, column in zip(names, signals_BS.T, strict=True)
        ),
        histograms=tuple(_histogram(name, signals_BS[:, names.index(name)]) for name in HISTOGRAM_SIGNALS),
        class_shares=tuple((np.bincount(data.classes, minlength=10) / len(data.classes)).tolist()),
        accuracy_by_confidence=(0.9,) * HISTOGRAM_BINS,
    )


def _histogram(name: str, values_B: NDArray[np.float32]) -> HistogramReference:
    edges = np.quantile(values_B, np.arange(1, HISTOGRAM_BINS) / HISTOGRAM_BINS)
    return HistogramReference(signal=name, edges=tuple(edges.tolist()), shares=(1 / HISTOGRAM_BINS,) * HISTOGRAM_BINS)


def store_golden(blobs: Path, inputs: NDArray[np.generic], outputs: NDArray[np.float32]) -> BlobRef:
    """Writes golden vectors as a blob."""
    path = blobs / "golden.npz"
    np.savez(path, inputs=inputs, outputs=outputs)
    content = path.read_bytes()
    path.unlink()
    return store_blob(blobs, content, "golden.npz")


def _variant(blobs: Path, name: str) -> Variant:
    runtime = Runtime.ONNX if name.startswith("onnx") else Runtime.TFLITE
    file = model_folder() / f"{name}.{runtime.value}"
    tensors = {"input": FLOAT_INPUT, "output": OUTPUT}
    if name == "tflite-int8":
        for side, (scale, zero_point) in json.loads((model_folder() / "int8.json").read_text()).items():
            tensors[side] = msgspec.structs.replace(tensors[side], dtype=DType.INT8, scale=scale, zero_point=zero_point)
    return Variant(
        id=name,
        runtime=runtime,
        min_runtime_version="1.0",
        recipe=name,
        blob=store_blob(blobs, file.read_bytes(), file.name),
        input=tensors["input"],
        output=tensors["output"],
        evidence=VariantEvidence(
            sample_count=397,
            accuracy=0.9,
            accuracy_drop=0.0,
            top1_agreement=1.0,
            max_abs_error=0.0,
            mean_abs_error=0.0,
            sqnr_db=100.0,
            latency_p50_ms=0.1,
            latency_p95_ms=0.2,
            host_rss_mb=50.0,
        ),
        golden_tolerance=0.15 if name == "tflite-int8" else 1e-4,
        golden_agreement=0.95,
    )
