"""The gates of a variant. Pure: figures in, one GateResult per gate out, passed or not.

Every variant must load and run, give finite scores that vary, and hold the candidate's VariantGates. A float variant
must besides be the float model: below FLOAT_MIN_SQNR_DB a float conversion is a bug, not noise (docs/measurements.md:
a dropped bias showed as 28 to 65 dB, a right conversion as 107 to 145 dB); half precision showed 48 to 75 dB. What
quantization does not make smaller is refused: tools that silently did nothing were seen.

A threshold or a measure that is no finite number fails its gate. A gate that compares with the float variant fails
where that was not built. docs/reference/gates.md lists the gates.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, nan
from typing import TYPE_CHECKING, Final

from converter.proof.intervals import least_rows_to_show
from converter.recipe import Precision
from fleet_contract.candidate import Confidence
from fleet_contract.release import GateResult

if TYPE_CHECKING:
    from converter.proof.parity import Accuracy, Agreement, Drop, Parity
    from converter.recipe import Recipe
    from fleet_contract.candidate import VariantGates

FLOAT_MIN_SQNR_DB: Final = 100.0
HALF_MIN_SQNR_DB: Final = 45.0
UNLABELLED_MIN_SQNR_DB: Final = 25.0
"""What a quantized variant of a model without classes must reach where no `min_sqnr_db` is set."""
RUNS_GATE: Final = "runs"
FINITE_GATE: Final = "finite"
VARIES_GATE: Final = "varies"
EDGES_GATE: Final = "edges"
_ONE_THREAD: Final = "one thread of the machine that converts"


@dataclass(frozen=True, slots=True)
class FloatFigures:
    """The float variant of the same runtime. `latency_p50_ms` NaN: not measured beside the variant."""

    size_bytes: int
    latency_p50_ms: float = nan


@dataclass(frozen=True, slots=True)
class Figures:
    """What is known of a variant that ran. `side_by_side_p50_ms` was measured in turn with the float variant."""

    parity: Parity
    size_bytes: int
    latency_p50_ms: float
    ram_mb: float
    side_by_side_p50_ms: float = nan
    whole: FloatFigures | None = None


def fact(gate: str, *, holds: bool, detail: str = "") -> GateResult:
    """A gate that is simply true or not."""
    return GateResult(gate=gate, passed=holds, measured=float(holds), threshold=1.0, detail=detail)


def at_least(gate: str, measured: float, threshold: float, detail: str = "") -> GateResult:
    """A gate with a floor."""
    return _compared(gate, measured, threshold, detail, holds=measured >= threshold)


def at_most(gate: str, measured: float, threshold: float, detail: str = "") -> GateResult:
    """A gate with a ceiling."""
    return _compared(gate, measured, threshold, detail, holds=measured <= threshold)


def _compared(gate: str, measured: float, threshold: float, detail: str, *, holds: bool) -> GateResult:
    """The result; what is no finite number is told in words and as 0, since a report cannot hold it."""
    finite = isfinite(measured) and isfinite(threshold)
    words = "" if finite else f"measured {measured}, threshold {threshold}"
    return GateResult(
        gate=gate,
        passed=finite and holds,
        measured=measured if isfinite(measured) else 0.0,
        threshold=threshold if isfinite(threshold) else 0.0,
        detail=", ".join(filter(None, (words, detail))),
    )


def gate_in_words(gate: GateResult) -> str:
    """What was got and what was expected; of a fact what it says."""
    detail = f" ({gate.detail})" if gate.detail else ""
    if gate.threshold == 1.0 and gate.measured == 0.0:
        return f"{gate.gate}: {gate.detail}"
    return f"{gate.gate}: got {gate.measured:.6g}, expected {gate.threshold:.6g}{detail}"


def judge(recipe: Recipe, gates: VariantGates, figures: Figures) -> tuple[GateResult, ...]:
    """All gates on the figures of a variant that ran."""
    return (
        *judge_parity(recipe, gates, figures.parity),
        *_budget_gates(gates, figures),
        *_relative_gates(recipe, gates, figures),
    )


def judge_parity(recipe: Recipe, gates: VariantGates, parity: Parity) -> tuple[GateResult, ...]:
    """The gates on how near the variant is to the float model: what more layers in float can mend."""
    results = list(_error_gates(recipe, gates, parity))
    if parity.agreement is not None:
        results.append(_agreement_gate(gates, parity.agreement, parity.sample_count))
        if recipe.exact:
            detail = "a float variant is the float model"
            results.append(at_least("float-agreement", parity.agreement.share, 1.0, detail))
    if parity.accuracy is not None:
        results.append(_accuracy_gate(gates, parity.accuracy.drop))
        results.append(_slice_gate(gates, parity.accuracy))
    return tuple(results)


def search_goal(gates: VariantGates, *, classes: bool) -> tuple[float, float]:
    """The least agreement and the least SQNR in dB that a search for an int8 variant must reach; 0 asks nothing."""
    agreement = gates.min_top1_agreement if classes else 0.0
    return agreement, gates.min_sqnr_db or (0.0 if classes else UNLABELLED_MIN_SQNR_DB)


def _error_gates(recipe: Recipe, gates: VariantGates, parity: Parity) -> tuple[GateResult, ...]:
    asked_db = gates.min_sqnr_db  # first in max(): where it is NaN it stays NaN, and the gate fails
    if recipe.exact:
        least_db = max(asked_db, FLOAT_MIN_SQNR_DB)
        return (at_least("float-sqnr-db", parity.sqnr_db, least_db, "lower is a conversion bug"),)
    if recipe.precision is Precision.FLOAT16:
        least_db = max(asked_db, HALF_MIN_SQNR_DB)
        return (at_least("float16-sqnr-db", parity.sqnr_db, least_db, "lower is more than rounding to half precision"),)
    _, floor = search_goal(gates, classes=parity.agreement is not None)
    return (at_least("sqnr-db", parity.sqnr_db, floor),) if floor else ()


def _agreement_gate(gates: VariantGates, found: Agreement, rows: int) -> GateResult:
    measured = _chosen(gates, found.share, found.bound)
    detail = f"{found.share:.2%} of {rows} held-out rows, one-sided 95 % bound {found.bound:.2%}"
    return at_least("top1-agreement", measured, gates.min_top1_agreement, detail)


def _accuracy_gate(gates: VariantGates, drop: Drop) -> GateResult:
    measured = _chosen(gates, drop.drop, drop.bound)
    return at_most("accuracy-drop", measured, gates.max_accuracy_drop, f"of {_in_words(drop)}")


def _slice_gate(gates: VariantGates, accuracy: Accuracy) -> GateResult:
    """The worst slice. A slice too small for any bound to come down to the threshold is judged by the estimate."""
    threshold = gates.max_slice_drop
    if not accuracy.slices:
        return at_most("slice-drop", 0.0, threshold, "no slice has enough held-out rows to be judged")
    enough = least_rows_to_show(threshold)

    def measure(drop: Drop) -> float:
        return _chosen(gates, drop.drop, drop.bound) if drop.sample_count >= enough else drop.drop

    worst = max(accuracy.slices, key=measure)
    return at_most("slice-drop", measure(worst), threshold, f"{worst.name}, {_in_words(worst)}")


def _chosen(gates: VariantGates, estimate: float, bound: float) -> float:
    return bound if gates.confidence is Confidence.BOUND else estimate


def _in_words(drop: Drop) -> str:
    points, bound = 100 * drop.drop, 100 * drop.bound
    return f"{drop.sample_count} rows: {points:+.2f} points, one-sided 95 % bound {bound:+.2f}"


def _budget_gates(gates: VariantGates, figures: Figures) -> tuple[GateResult, ...]:
    results = []
    if gates.max_size_bytes:
        results.append(at_most("size-bytes", float(figures.size_bytes), float(gates.max_size_bytes)))
    if gates.max_latency_p50_ms:
        results.append(at_most("latency-p50-ms", figures.latency_p50_ms, gates.max_latency_p50_ms, _ONE_THREAD))
    if gates.max_ram_mb:
        detail = "what the manifest asks of a device: the measured peak of a process, and a quarter more"
        results.append(at_most("ram-mb", figures.ram_mb, gates.max_ram_mb, detail))
    return tuple(results)


def _relative_gates(recipe: Recipe, gates: VariantGates, figures: Figures) -> tuple[GateResult, ...]:
    """Against the float variant of the same runtime, which is not held against itself."""
    if recipe.exact:
        return ()
    whole, runtime = figures.whole, recipe.runtime
    missing = f"{runtime}-f32 was not built beside it, add it to the recipes" if whole is None else ""
    ratio = figures.size_bytes / whole.size_bytes if whole else nan
    results = []
    if whole is not None:
        detail = f"{figures.size_bytes} bytes, the float variant has {whole.size_bytes}"
        results.append(fact("shrinks", holds=figures.size_bytes < whole.size_bytes, detail=detail))
    if gates.max_size_ratio:
        results.append(at_most("size-ratio", ratio, gates.max_size_ratio, missing or f"to {runtime}-f32"))
    if gates.min_latency_gain:
        float_ms = whole.latency_p50_ms if whole else nan
        gain = 1.0 - figures.side_by_side_p50_ms / float_ms if float_ms > 0.0 else nan
        detail = missing or f"{figures.side_by_side_p50_ms:.4g} ms, {runtime}-f32 {float_ms:.4g} ms, {_ONE_THREAD}"
        results.append(at_least("latency-gain", gain, gates.min_latency_gain, detail))
    return tuple(results)
