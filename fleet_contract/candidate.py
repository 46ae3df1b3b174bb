"""The candidate: what the trainer hands to the converter, a folder with `candidate.json` and the files it names.

    candidate.json   this type
    model.keras      the float model, preprocessed input -> class probabilities
    samples.npz      raw inputs and labels: `calibration_inputs`, `holdout_inputs`, `holdout_labels` and
                     `holdout_slices` (strings; empty where the data have no slices)
    MODEL_CARD.md    Hugging Face README form

The files are named by SHA-256, so a folder that was tampered with or half-written is refused.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from fleet_contract.codec import UtcTime
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.preprocessing import Transform
from fleet_contract.release import Evaluation, Feature, ImageInput, Lineage, Verdict
from fleet_contract.tensors import TensorSpec

CANDIDATE_FILE: Final = "candidate.json"
MODEL_FILE: Final = "model.keras"
SAMPLES_FILE: Final = "samples.npz"
MODEL_CARD_FILE: Final = "MODEL_CARD.md"


class Confidence(StrEnum):
    """Which figure a gate on a share of rows looks at."""

    ESTIMATE = "estimate"
    """What was measured."""
    BOUND = "bound"
    """The one-sided 95 % bound of it: the variant must be shown to be good, not only not shown to be bad."""


class Keep(StrEnum):
    """Which of the variants that passed are published."""

    ALL = "all"
    FRONT = "front"
    """Those that no other variant of the same runtime and the same targets beats in everything."""


Share = Annotated[float, Meta(ge=0.0, le=1.0)]
Limit = Annotated[float, Meta(ge=0.0)]
ByteLimit = Annotated[int, Meta(ge=0)]


class VariantGates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gates that every variant of this model must pass (`[convert.gates]` of the project file).

    Fractions, not points: 0.01 is one percentage point. 0 is no limit in what follows `max_slice_drop`. The last two
    compare with the float variant of the same runtime: `max_size_ratio` is size over its size, `min_latency_gain` the
    least fraction by which the variant is quicker.
    """

    max_accuracy_drop: Share = 0.01
    min_top1_agreement: Share = 0.97
    max_slice_drop: Share = 0.1
    confidence: Confidence = Confidence.ESTIMATE
    min_sqnr_db: Limit = 0.0
    max_size_bytes: ByteLimit = 0
    max_latency_p50_ms: Limit = 0.0
    max_ram_mb: Limit = 0.0
    max_size_ratio: Limit = 0.0
    min_latency_gain: Share = 0.0


class GateOverrides(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What other gates hold on one target (`[convert.targets.NAME]`); what is left out is as in VariantGates."""

    max_accuracy_drop: Share | None = None
    min_top1_agreement: Share | None = None
    max_slice_drop: Share | None = None
    confidence: Confidence | None = None
    min_sqnr_db: Limit | None = None
    max_size_bytes: ByteLimit | None = None
    max_latency_p50_ms: Limit | None = None
    max_ram_mb: Limit | None = None
    max_size_ratio: Limit | None = None
    min_latency_gain: Share | None = None

    def over(self, gates: VariantGates) -> VariantGates:
        """`gates` with what is set here in place of theirs."""
        set_here = {key: value for key, value in structs.asdict(self).items() if value is not None}
        return structs.replace(gates, **set_here)


class Candidate(Struct, frozen=True, kw_only=True):
    """`candidate.json`: a trained, evaluated model with its verdict, ready for conversion."""

    schema: int = 1
    model: NameStr
    created_at: UtcTime
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preprocessing: tuple[Transform, ...] = ()
    features: tuple[Feature, ...] = ()
    """Columns of a model of tables, in the order of the input's elements."""
    images: ImageInput | UnsetType = UNSET
    """How images became inputs; unset where the data were no image files."""
    files: dict[str, Sha256Str]
    """SHA-256 of MODEL_FILE, SAMPLES_FILE and MODEL_CARD_FILE."""
    evaluation: Evaluation
    verdict: Verdict
    lineage: Lineage
    recipes: tuple[str, ...]
    gates: VariantGates = VariantGates()
    targets: dict[NameStr, GateOverrides] = {}
    """Gates of targets that differ from `gates`, by the target's name."""
    keep: Keep = Keep.ALL
