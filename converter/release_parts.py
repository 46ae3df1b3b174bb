"""The release manifest and its blobs, put together from what was built and measured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from converter.archive import encode_npz
from converter.bundle import blob_ref
from converter.drift_reference import build_profile
from converter.lineage import tool_versions
from converter.proof.compatibility import declare, required_ram_mb
from converter.report.figures import evidence
from fleet_contract.codec import encode
from fleet_contract.errors import ModelError
from fleet_contract.release import Lineage, ReleaseManifest, Requirements, Variant

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from converter.material import Material
    from converter.proof.trial import Trial
    from converter.sources.candidate_folder import Source
    from fleet_contract.release import BlobRef, Verdict


class _Blobs:
    """Collects blobs by hash."""

    def __init__(self) -> None:
        self.by_sha256: dict[str, bytes] = {}

    def add(self, data: bytes, name: str) -> BlobRef:
        ref = blob_ref(data, name)
        self.by_sha256[ref.sha256] = data
        return ref


def assemble(
    source: Source,
    material: Material,
    reference_BK: NDArray[np.float32],
    trials: Sequence[Trial],
    *,
    verdict: Verdict,
    version: int,
) -> tuple[ReleaseManifest, dict[str, bytes]]:
    """The manifest with the variants that passed, and the bytes of its blobs by SHA-256."""
    candidate, blobs = source.candidate, _Blobs()
    golden = {"inputs": material.raw_inputs[material.golden], "outputs": reference_BK[material.golden]}
    profile = build_profile(material.model_inputs, reference_BK, material.labels)
    manifest = ReleaseManifest(
        model=candidate.model,
        version=version,
        created_at=candidate.created_at,
        inputs=candidate.inputs,
        outputs=candidate.outputs,
        labels=candidate.labels,
        preprocessing=candidate.preprocessing,
        features=candidate.features or msgspec.UNSET,
        images=candidate.images,
        variants=tuple(_variant(trial, blobs) for trial in trials if trial.passed),
        golden=blobs.add(encode_npz(golden), "golden.npz"),
        reference_profile=blobs.add(encode(profile), "reference_profile.json"),
        model_card=blobs.add(source.model_card, "MODEL_CARD.md"),
        evaluation=candidate.evaluation,
        verdict=verdict,
        lineage=_lineage(candidate.lineage),
    )
    return manifest, blobs.by_sha256


def _variant(trial: Trial, blobs: _Blobs) -> Variant:
    recipe, proof, measured = trial.build.recipe, trial.proof, evidence(trial)
    declared = declare(recipe.runtime, trial.ran_in)
    if proof is None or measured is None or trial.build.path is None or declared is None:
        raise ModelError(f"variant {recipe.name}: passed without evidence")
    return Variant(
        id=recipe.name,
        runtime=recipe.runtime,
        min_runtime_version=declared.min_runtime_version,
        implementations=declared.implementations or msgspec.UNSET,
        recipe=trial.build.resolved,
        blob=blobs.add(trial.build.path.read_bytes(), recipe.file_name),
        input=proof.input,
        output=proof.output,
        requirements=Requirements(ram_mb=required_ram_mb(proof.peak_rss_mb), archs=trial.archs),
        evidence=measured,
        golden_tolerance=trial.golden_tolerance,
        golden_agreement=trial.golden_agreement,
    )


def _lineage(lineage: Lineage) -> Lineage:
    """The candidate's lineage with the versions of the conversion tools."""
    converter = {f"converter.{name}": found for name, found in tool_versions().items()}
    return msgspec.structs.replace(lineage, tool_versions={**lineage.tool_versions, **converter})
