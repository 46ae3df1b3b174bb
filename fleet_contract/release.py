"""The release manifest `release.json`: one logical model version, its variants and all their evidence.

A manifest is small and names its blobs by SHA-256; TUF signs the manifest, so the chain of hashes covers every
blob. Versions never change once published; aliases move.
"""

from __future__ import annotations

import math
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from fleet_contract.codec import UtcTime, decode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ContractError
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.preprocessing import Transform, model_input
from fleet_contract.tensors import TensorSpec

Version = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Fraction = Annotated[float, Meta(ge=0.0, le=1.0)]

MAX_RELEASE_BYTES: Final = 1024 * 1024
MIN_GOLDEN_VECTORS: Final = 64


class BlobRef(Struct, frozen=True, kw_only=True):
    """An immutable file in the content-addressed store."""

    sha256: Sha256Str
    size_bytes: Annotated[int, Meta(ge=1)]
    name: str
    """File name for people, for instance `tflite-int8.tflite`."""


class Requirements(Struct, frozen=True, kw_only=True):
    """What a variant needs of a device; no `archs` means any."""

    ram_mb: int = 0
    archs: tuple[str, ...] = ()


class VariantEvidence(Struct, frozen=True, kw_only=True):
    """What was measured for a variant in its real runtime, on `sample_count` held-out samples, by the converter.

    `accuracy_drop` is float accuracy minus variant accuracy (fractions, so 0.003 is 0.3 points); errors are on
    the dequantized outputs; latency is single-thread, batch 1, on the machine that converted.
    """

    sample_count: int
    accuracy: Fraction
    accuracy_drop: float
    top1_agreement: Fraction
    max_abs_error: float
    mean_abs_error: float
    sqnr_db: float
    latency_p50_ms: float
    latency_p95_ms: float
    host_rss_mb: float


class Variant(Struct, frozen=True, kw_only=True):
    """One converted form of the model.

    `golden_tolerance` bounds |output - reference| on the golden vectors, `golden_agreement` is the least top-1
    agreement on them; both hold on a board that works. `implementations` are the runtime packages in which it was
    proven, each with the least version; unset: any package, from `min_runtime_version` on.
    """

    id: NameStr
    runtime: Runtime
    min_runtime_version: str
    implementations: dict[str, str] | UnsetType = UNSET
    recipe: str
    blob: BlobRef
    input: TensorSpec
    output: TensorSpec
    requirements: Requirements = Requirements()
    evidence: VariantEvidence
    golden_tolerance: Annotated[float, Meta(gt=0.0)]
    golden_agreement: Fraction


class SliceEvaluation(Struct, frozen=True, kw_only=True):
    """Accuracy on one named slice, with a 95 % Wilson interval."""

    name: str
    sample_count: int
    accuracy: Fraction
    low: Fraction
    high: Fraction


class Evaluation(Struct, frozen=True, kw_only=True):
    """Accuracy of the float model on the held-out split, overall and per slice.

    `labelled` False: nobody knows the right answers for the held-out rows. Then every accuracy of the release, also in
    the evidence of its variants, is 0 and means nothing; what was measured is the error against the float model and,
    where the outputs are class scores, the agreement with it.
    """

    overall: SliceEvaluation
    slices: tuple[SliceEvaluation, ...] = ()
    expected_calibration_error: float = 0.0
    log_loss: float = 0.0
    labelled: bool = True


class GateResult(Struct, frozen=True, kw_only=True):
    """One gate: what was measured against what threshold, and the evidence in words."""

    gate: str
    passed: bool
    measured: float
    threshold: float
    detail: str = ""


class Verdict(Struct, frozen=True, kw_only=True):
    """The validation verdict, stored whichever way it goes; `override` names who overruled it and why."""

    passed: bool
    gates: tuple[GateResult, ...]
    override: str = ""


class Lineage(Struct, frozen=True, kw_only=True):
    """Where a release comes from."""

    data_snapshot_sha256: Sha256Str
    data_source: str
    schema_sha256: Sha256Str
    run_id: str
    git_revision: str = ""
    seed: int = 0
    hyperparameters: dict[str, float | int | str | bool] = {}
    tool_versions: dict[str, str] = {}
    retrain_request_id: str = ""
    champion_version: int = 0
    """Version that validation compared with; 0 for none."""
    data_override: str | UnsetType = UNSET
    """Who trained on data that fail their schema, why, and what was wrong with them; unset where nothing was."""
    data_removed: dict[str, int] | UnsetType = UNSET
    """Rows taken out because held-out rows are equal to them (`copies`) or all but equal (`near_duplicates`)."""
    resources: dict[str, float] | UnsetType = UNSET
    """What the training took: `wall_s`, `cpu_s`, `peak_memory_bytes` and, where the machine tells, `energy_j`."""


class Feature(Struct, frozen=True, kw_only=True):
    """One column of a table that the model eats; with `categories`, their order gives the codes 0, 1, 2, ..."""

    name: str
    categories: tuple[str, ...] = ()


class ImageInput(Struct, frozen=True, kw_only=True):
    """How encoded images became inputs: `resize` bilinearly to the input's size, `convert` to its channels.

    Where one is false, images of another size or of other channels were refused.
    """

    resize: bool
    convert: bool


class ReleaseManifest(Struct, frozen=True, kw_only=True):
    """`release.json`.

    `inputs` are raw tensors as a caller sends them; `preprocessing` leads from there to the variants' own inputs;
    `outputs` are float class scores, one per label; without `labels` they are numbers of another kind. `features`
    names the columns of a model of tables, in the order of the input's elements (`fleet_contract.features`); `images`
    says how images became inputs, where the model was trained on image files.
    """

    schema: int = 1
    model: NameStr
    version: Version
    created_at: UtcTime
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preprocessing: tuple[Transform, ...] = ()
    features: tuple[Feature, ...] | UnsetType = UNSET
    images: ImageInput | UnsetType = UNSET
    variants: tuple[Variant, ...]
    golden: BlobRef
    """NPZ with `inputs` (raw, B first) and `outputs` (float reference scores, BK); at least 64 rows."""
    reference_profile: BlobRef
    model_card: BlobRef
    evaluation: Evaluation
    verdict: Verdict
    lineage: Lineage

    def variant(self, variant_id: str) -> Variant:
        """The variant with that id.

        Raises:
            ContractError: there is none.
        """
        for variant in self.variants:
            if variant.id == variant_id:
                return variant
        raise ContractError.mismatch(
            "variant", got=variant_id, expected=f"one of {', '.join(variant.id for variant in self.variants)}"
        )

    def blobs(self) -> tuple[BlobRef, ...]:
        """Every blob that the release needs, variants first."""
        return (*(variant.blob for variant in self.variants), self.golden, self.reference_profile, self.model_card)


def decode_release(data: bytes) -> ReleaseManifest:
    """The manifest in `data`, checked for inner agreement as well as for form.

    Raises:
        ContractError: malformed, or its parts contradict one another.
    """
    manifest = decode(data, ReleaseManifest, max_bytes=MAX_RELEASE_BYTES)
    check_release(manifest)
    return manifest


def check_release(manifest: ReleaseManifest) -> None:
    """Passes when the manifest's parts agree: one input and one output, shapes of variants, labels, unique ids.

    Variants take what preprocessing makes of the input.
    A release without labels gives one row of numbers that are not class scores: an autoencoder, a regressor.

    Raises:
        ContractError: they do not.
    """
    name = f"release {manifest.model} v{manifest.version}"
    if len(manifest.inputs) != 1 or len(manifest.outputs) != 1:
        raise ContractError.mismatch(
            f"{name}: tensors",
            got=f"{len(manifest.inputs)} inputs, {len(manifest.outputs)} outputs",
            expected="1 and 1",
        )
    if not manifest.variants:
        raise ContractError.mismatch(f"{name}: variants", got="none", expected="at least one")
    ids = [variant.id for variant in manifest.variants]
    if len(set(ids)) != len(ids):
        raise ContractError.mismatch(f"{name}: variants", got=ids, expected="unique ids")
    _check_outputs(name, manifest)
    features, elements = manifest.features or (), math.prod(manifest.inputs[0].shape)
    if features and len(features) != elements:
        raise ContractError.mismatch(f"{name}: features", got=len(features), expected=f"{elements}, one per input")
    eaten = model_input(manifest.inputs[0], manifest.preprocessing)
    for variant in manifest.variants:
        for got, expected, what in (
            (variant.input.shape, eaten.shape, "input"),
            (variant.output.shape, manifest.outputs[0].shape, "output"),
        ):
            if got != expected:
                raise ContractError.mismatch(f"{name}: {what} of {variant.id}", got=got, expected=expected)


def _check_outputs(name: str, manifest: ReleaseManifest) -> None:
    shape = manifest.outputs[0].shape
    if manifest.labels and shape != (len(manifest.labels),):
        expected = f"({len(manifest.labels)},), one score per label"
        raise ContractError.mismatch(f"{name}: outputs", got=shape, expected=expected)
    if len(shape) != 1 or shape[0] < 1:
        raise ContractError.mismatch(f"{name}: outputs", got=shape, expected="one row of numbers")


def release_target_path(model: str, version: int) -> str:
    """The TUF target path of a release's manifest; the model's family key is delegated `models/{model}/*/*`."""
    return f"models/{model}/{version}/release.json"
