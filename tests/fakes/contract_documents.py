"""Small, valid documents of the contract, to be varied by tests."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import structs

from fleet_contract.device_profile import DeviceProfile, Runtime, RuntimeInfo
from fleet_contract.release import (
    BlobRef,
    Evaluation,
    Lineage,
    ReleaseManifest,
    Requirements,
    SliceEvaluation,
    Variant,
    VariantEvidence,
    Verdict,
)
from fleet_contract.tensors import DType, TensorSpec

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
EVIDENCE = VariantEvidence(
    sample_count=100,
    accuracy=0.9,
    accuracy_drop=0.0,
    top1_agreement=1.0,
    max_abs_error=0.0,
    mean_abs_error=0.0,
    sqnr_db=120.0,
    latency_p50_ms=0.1,
    latency_p95_ms=0.2,
    host_rss_mb=50.0,
)


def blob(name: str, *, size_bytes: int = 10) -> BlobRef:
    """A reference to nothing."""
    return BlobRef(sha256="0" * 64, size_bytes=size_bytes, name=name)


def variant(variant_id: str = "tflite-f32", **changes: object) -> Variant:
    """A float TFLite variant of a (2,) -> (2,) model, with `changes`."""
    base = Variant(
        id=variant_id,
        runtime=Runtime.TFLITE,
        min_runtime_version="2.14.0",
        recipe=variant_id,
        blob=blob(variant_id),
        input=TensorSpec(name="x", dtype=DType.FLOAT32, shape=(2,)),
        output=TensorSpec(name="y", dtype=DType.FLOAT32, shape=(2,)),
        requirements=Requirements(),
        evidence=EVIDENCE,
        golden_tolerance=0.01,
        golden_agreement=1.0,
    )
    return structs.replace(base, **changes)


def manifest(**changes: object) -> ReleaseManifest:
    """A release with one variant, with `changes`."""
    base = ReleaseManifest(
        model="eye",
        version=1,
        created_at=NOON,
        inputs=(TensorSpec(name="input", dtype=DType.UINT8, shape=(2,)),),
        outputs=(TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(2,)),),
        labels=("no", "yes"),
        variants=(variant(),),
        golden=blob("golden.npz"),
        reference_profile=blob("reference_profile.json"),
        model_card=blob("README.md"),
        evaluation=Evaluation(overall=SliceEvaluation(name="all", sample_count=100, accuracy=0.9, low=0.8, high=0.95)),
        verdict=Verdict(passed=True, gates=()),
        lineage=Lineage(
            data_snapshot_sha256="0" * 64, data_source="npz:data.npz", schema_sha256="0" * 64, run_id="run"
        ),
    )
    return structs.replace(base, **changes)


def profile(**changes: object) -> DeviceProfile:
    """A 64-bit ARM board with LiteRT, with `changes`."""
    base = DeviceProfile(
        device_id="pi",
        hardware="pi5",
        arch="aarch64",
        ram_mb=4096,
        runtimes=(RuntimeInfo(runtime=Runtime.TFLITE, implementation="ai-edge-litert", version="2.14.1"),),
    )
    return structs.replace(base, **changes)
