"""What a variant must keep to on one target: its gates, its RAM, and being worth the loss there. Pure.

Latency is evidence for a target only when this machine is of its kind. There a variant in integers that is slower than
the float variant of its runtime is refused, unless float itself does not suit the target: it would cost accuracy and
time and save neither. Elsewhere nothing is refused for being slow; a device measures before it activates.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Final

from msgspec import Struct, structs

from converter.proof.gates import at_most, fact, judge
from converter.recipe import Precision
from fleet_contract.candidate import Confidence, VariantGates
from fleet_contract.release import GateResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from converter.proof.gates import Figures
    from converter.recipe import Recipe
    from fleet_contract.device_profile import Runtime

SLOWER_MARGIN: Final = 0.05
"""How much slower than float counts as noise, where both are timed in turn in one process."""


@dataclass(frozen=True, slots=True)
class Budget:
    """One target as a conversion sees it.

    `ram_mb` is what a model host may use there, 0 for no limit; `here` whether latency measured on this machine is
    evidence for it; `refusal` says why a recipe makes no sense there, nothing when it does; `unproven` why a variant
    that is declared for certain runtime packages could not be used there.
    """

    target: str
    arch: str
    ram_mb: float
    here: bool
    gates: VariantGates
    refusal: Callable[[Recipe], str]
    unproven: Callable[[Runtime, Mapping[str, str]], str]


class TargetVerdict(Struct, frozen=True, kw_only=True):
    """Whether a variant is for a target; `gates` are those that it was held against there."""

    target: str
    suits: bool
    gates: tuple[GateResult, ...]


def judge_for(
    budget: Budget, recipe: Recipe, figures: Figures, *, implementations: Mapping[str, str], float_suits: bool
) -> TargetVerdict:
    """The verdict on a variant that ran.

    Args:
        budget: of the target.
        recipe: of the variant.
        figures: of the variant.
        implementations: runtime packages that the variant is declared for; none: any.
        float_suits: the float variant of its runtime is for this target.
    """
    refusal, unproven = budget.refusal(recipe), budget.unproven(recipe.runtime, implementations)
    gates = [
        fact("recipe-for-target", holds=not refusal, detail=refusal),
        fact("proven-for-target", holds=not unproven, detail=unproven),
        *judge(recipe, _gates_of(budget), figures),
    ]
    if budget.ram_mb:
        gates.append(at_most("target-ram-mb", figures.ram_mb, budget.ram_mb, "what a model host may use there"))
    if budget.here and float_suits and in_integers(recipe):
        gates.append(_quicker_than_float(recipe, figures))
    return TargetVerdict(target=budget.target, suits=all(gate.passed for gate in gates), gates=tuple(gates))


def in_integers(recipe: Recipe) -> bool:
    """Whether the recipe trades accuracy for speed by computing in integers."""
    return recipe.static or recipe.precision is Precision.DYNAMIC_INT8


def latency_ratio(figures: Figures) -> float:
    """The variant's latency over the float variant's, both timed in turn; NaN where they were not."""
    float_ms = figures.whole.latency_p50_ms if figures.whole else nan
    return figures.side_by_side_p50_ms / float_ms if float_ms > 0.0 else nan


def _quicker_than_float(recipe: Recipe, figures: Figures) -> GateResult:
    float_ms = figures.whole.latency_p50_ms if figures.whole else nan
    detail = (
        f"{figures.side_by_side_p50_ms:.4g} ms, {recipe.runtime}-f32 takes {float_ms:.4g} ms on this kind of machine"
    )
    return at_most("latency-over-float", latency_ratio(figures), 1.0 + SLOWER_MARGIN, detail)


def _gates_of(budget: Budget) -> VariantGates:
    if budget.here:
        return budget.gates
    return structs.replace(budget.gates, max_latency_p50_ms=0.0, min_latency_gain=0.0)


def unjudged(budgets: Iterable[Budget]) -> list[str]:
    """Targets with a limit on latency that cannot be judged on this machine."""
    return [each.target for each in budgets if not each.here and _gates_of(each) != each.gates]


def strictest(base: VariantGates, budgets: Sequence[Budget]) -> VariantGates:
    """`base` with parity gates under which a variant holds those of every target: what a search should aim at."""
    each = [budget.gates for budget in budgets] or [base]
    bound = any(gates.confidence is Confidence.BOUND for gates in each)
    return structs.replace(
        base,
        max_accuracy_drop=min(gates.max_accuracy_drop for gates in each),
        min_top1_agreement=max(gates.min_top1_agreement for gates in each),
        max_slice_drop=min(gates.max_slice_drop for gates in each),
        min_sqnr_db=max(gates.min_sqnr_db for gates in each),
        confidence=Confidence.BOUND if bound else Confidence.ESTIMATE,
    )


def limited_archs(budgets: Sequence[Budget], verdicts: Sequence[TargetVerdict]) -> tuple[str, ...]:
    """The architectures that the manifest limits a variant to; none where no other architecture's target refused it."""
    suited = {verdict.target for verdict in verdicts if verdict.suits}
    fit = {budget.arch for budget in budgets if budget.target in suited}
    unfit = {budget.arch for budget in budgets if budget.target not in suited}
    return tuple(sorted(fit)) if unfit - fit else ()
