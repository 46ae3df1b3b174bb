"""The candidate: what the trainer hands to the converter, a folder with `candidate.json` and the files it names.

    candidate.json   this type
    model.keras      the float model, preprocessed input -> class probabilities
    samples.npz      raw inputs and labels: `calibration_inputs`, `holdout_inputs`, `holdout_labels` and
                     `holdout_slices` (strings; empty where the data have no slices)
    MODEL_CARD.md    Hugging Face README form

The files are named by SHA-256, so a folder that was tampered with or half-written is refused.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from fleet_contract.codec import UtcTime
from fleet_contract.names import NameStr, Sha256Str
from fleet_contract.preprocessing import Transform
from fleet_contract.release import Evaluation, Lineage, Verdict
from fleet_contract.tensors import TensorSpec

CANDIDATE_FILE: Final = "candidate.json"
MODEL_FILE: Final = "model.keras"
SAMPLES_FILE: Final = "samples.npz"
MODEL_CARD_FILE: Final = "MODEL_CARD.md"


class VariantGates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Gates that every variant of this model must pass (`[convert.gates]` of the project file).

    Fractions, not points: 0.01 is one percentage point. `max_size_bytes` and `max_latency_p50_ms` 0: no limit.
    """

    max_accuracy_drop: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.01
    min_top1_agreement: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.97
    max_slice_drop: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.1
    max_size_bytes: Annotated[int, Meta(ge=0)] = 0
    max_latency_p50_ms: Annotated[float, Meta(ge=0.0)] = 0.0


class Candidate(Struct, frozen=True, kw_only=True):
    """`candidate.json`: a trained, evaluated model with its verdict, ready for conversion."""

    schema: int = 1
    model: NameStr
    created_at: UtcTime
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    labels: tuple[str, ...]
    preprocessing: tuple[Transform, ...] = ()
    files: dict[str, Sha256Str]
    """SHA-256 of MODEL_FILE, SAMPLES_FILE and MODEL_CARD_FILE."""
    evaluation: Evaluation
    verdict: Verdict
    lineage: Lineage
    recipes: tuple[str, ...]
    gates: VariantGates = VariantGates()
