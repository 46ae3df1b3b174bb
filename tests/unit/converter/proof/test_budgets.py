"""Budgets: what one target asks, and what this machine can say about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from converter.proof.budgets import SLOWER_MARGIN, TargetVerdict, judge_for, limited_archs, strictest, unjudged
from converter.proof.gates import Figures, FloatFigures
from converter.recipe import parse_recipe
from fleet_contract.candidate import Confidence, GateOverrides, VariantGates
from tests.fakes.converter_figures import budget, figures

if TYPE_CHECKING:
    from fleet_contract.release import GateResult

INT8 = parse_recipe("tflite-int8")


def slow(ratio: float) -> Figures:
    """An int8 variant that takes `ratio` times as long as float."""
    return figures(side_by_side_p50_ms=ratio, whole=FloatFigures(4000, 1.0))


def failed(found: tuple[GateResult, ...]) -> set[str]:
    """Names of the gates that did not hold."""
    return {gate.gate for gate in found if not gate.passed}


def refused_for(recipe: str, measured: Figures, *, here: bool, float_suits: bool = True) -> set[str]:
    """The gates that a variant fails on a target."""
    verdict = judge_for(budget(here=here), parse_recipe(recipe), measured, implementations={}, float_suits=float_suits)
    assert verdict.suits is not bool(failed(verdict.gates))
    return failed(verdict.gates)


@pytest.mark.parametrize("recipe", ["tflite-int8", "tflite-int8-mixed", "tflite-dyn-int8", "tflite-int4"])
def test_integers_slower_than_float_are_refused_where_it_was_measured(recipe: str) -> None:
    """Beyond the margin for noise, on this kind of machine, and the figures are in the detail."""
    assert refused_for(recipe, slow(1.0 + SLOWER_MARGIN), here=True) == set()
    assert refused_for(recipe, slow(1.001 + SLOWER_MARGIN), here=True) == {"latency-over-float"}


def test_a_measurement_on_another_kind_of_machine_refuses_nothing() -> None:
    """What is slow on x86 may be quick on ARM."""
    assert refused_for("tflite-int8", slow(3.0), here=False) == set()


def test_slow_integers_are_taken_where_float_does_not_suit() -> None:
    """A target that float does not fit into needs the smaller one."""
    assert refused_for("tflite-int8", slow(3.0), here=True, float_suits=False) == set()


def test_half_precision_is_not_made_for_speed() -> None:
    """It halves the file; how quick it is does not refuse it."""
    assert refused_for("tflite-f16", slow(1.5), here=True) == set()


def test_integers_that_were_not_timed_are_refused_here() -> None:
    """What cannot be shown to be quick enough is not taken to be."""
    assert refused_for("tflite-int8", figures(whole=FloatFigures(4000)), here=True) == {"latency-over-float"}


def test_each_target_has_its_own_limits() -> None:
    """RAM of the target and the gates that the project sets for it are held; latency only where it is evidence."""
    tight = budget(ram_mb=63.0, gates=VariantGates(max_size_bytes=999, max_latency_p50_ms=1.0))
    verdict = judge_for(tight, INT8, figures(), implementations={}, float_suits=True)
    assert failed(verdict.gates) == {"target-ram-mb", "size-bytes"}
    assert unjudged([tight, budget()]) == ["pi-4"]


def test_a_recipe_that_makes_no_sense_there_is_refused_in_words() -> None:
    """The target says why, and so does what was not proven in its packages."""
    choosy = budget(
        refusal=lambda recipe: f"{recipe.name} dies there",
        unproven=lambda runtime, declared: f"{runtime} was proven in {', '.join(declared)} only",
    )
    verdict = judge_for(choosy, INT8, figures(), implementations={"ai-edge-litert": "2.3.0"}, float_suits=True)
    details = {gate.gate: gate.detail for gate in verdict.gates if not gate.passed}
    assert details == {
        "recipe-for-target": "tflite-int8 dies there",
        "proven-for-target": "tflite was proven in ai-edge-litert only",
    }


def test_a_variant_is_limited_to_the_architectures_it_suits() -> None:
    """Refused on x86-64 and for both boards of ARM: aarch64 alone; refused nowhere: any."""
    budgets = [budget("pi-4"), budget("pi-5"), budget("x86-64", "x86_64")]

    def verdicts(*suited: str) -> list[TargetVerdict]:
        return [TargetVerdict(target=each.target, suits=each.target in suited, gates=()) for each in budgets]

    assert limited_archs(budgets, verdicts("pi-4", "pi-5")) == ("aarch64",)
    assert limited_archs(budgets, verdicts("pi-4", "pi-5", "x86-64")) == ()
    assert limited_archs(budgets, verdicts("pi-4", "x86-64")) == ()


def test_the_search_aims_at_the_strictest_target() -> None:
    """The tightest of each parity gate; what a search cannot mend stays as the project says."""
    base = VariantGates(max_size_bytes=5)
    strict = budget("pi-5", gates=VariantGates(min_top1_agreement=0.99, confidence=Confidence.BOUND))
    aim = strictest(base, [budget(gates=VariantGates(max_accuracy_drop=0.001, min_sqnr_db=30.0)), strict])
    assert (aim.max_accuracy_drop, aim.min_top1_agreement, aim.min_sqnr_db) == (0.001, 0.99, 30.0)
    assert (aim.confidence, aim.max_size_bytes) == (Confidence.BOUND, 5)
    assert strictest(base, []) == base


def test_what_a_target_leaves_out_is_as_everywhere() -> None:
    """Only the keys that are set override, 0 among them, and every gate can be overridden."""
    own = GateOverrides(max_size_bytes=0, min_top1_agreement=0.9)
    gates = own.over(VariantGates(max_size_bytes=100, min_sqnr_db=30.0))
    assert gates == VariantGates(min_top1_agreement=0.9, min_sqnr_db=30.0)
    assert GateOverrides.__struct_fields__ == VariantGates.__struct_fields__
