"""Every target is complete and agrees with itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from converter.proof.compatibility import PACKAGES, required_ram_mb
from converter.proof.targets import TARGETS, is_this_machine, parse_target, recipes_for, refusals, undeclared
from converter.recipe import RECIPES, Precision, parse_recipe
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "targets.md"
RUNTIME_RSS_MB = {Runtime.TFLITE: 51.0, Runtime.ONNX: 69.0}
"""What a process with a small model takes (docs/measurements.md)."""


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_proposes_what_it_does_not_refuse(name: str) -> None:
    """Recipes come with a reason, and the float one of each runtime is among them to be held against."""
    target = parse_target(name)
    recipes = recipes_for(target)
    assert recipes
    assert [refusals(target, recipe) for recipe in recipes] == [""] * len(recipes)
    assert {recipe.runtime for recipe in recipes} == {recipe.runtime for recipe in recipes if recipe.exact}
    assert all(target.reasons.values())


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_has_room_for_what_it_proposes(name: str) -> None:
    """The budget holds a small model in each proposed runtime; two hosts fit while one is swapped."""
    target = parse_target(name)
    assert all(
        required_ram_mb(RUNTIME_RSS_MB[recipe.runtime]) <= target.memory_budget_mb for recipe in recipes_for(target)
    )
    assert 2 * target.memory_budget_mb <= target.ram_mb
    assert 1 <= target.threads <= target.cores


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_is_documented_with_its_figures(name: str) -> None:
    """docs/reference/targets.md has the row, and the figures in it are these."""
    target = parse_target(name)
    row = re.search(rf"^\| `{name}` \|.*$", PAGE.read_text(), re.MULTILINE)
    assert row
    cells = [cell.strip() for cell in row[0].strip("|").split("|")]
    assert cells[1:6] == [
        target.arch,
        str(target.cores),
        str(target.threads),
        str(target.ram_mb),
        str(target.memory_budget_mb),
    ]


REFUSED = [
    ("armv7", "onnx-int8", "no onnx runtime"),
    ("armv7", "onnx-f32", "no onnx runtime"),
    ("armv7", "tflite-int4", "int4"),
    ("armv7", "tflite-int4-mse-bias", "int4"),
    ("armv7", "tflite-dyn-int8", "other scores"),
    ("jetson-nano", "onnx-int8-signed", "Maxwell"),
    ("jetson-orin", "onnx-int8", "symmetric"),
    ("x86-64", "onnx-int8-signed", "three times"),
]


@pytest.mark.parametrize(("target", "recipe", "words"), REFUSED)
def test_what_makes_no_sense_is_refused_with_the_reason(target: str, recipe: str, words: str) -> None:
    """Options of a recipe change nothing."""
    assert words in refusals(parse_target(target), parse_recipe(recipe))


def test_plain_int8_runs_everywhere() -> None:
    """The usual choice is refused nowhere."""
    assert {refusals(target, parse_recipe("tflite-int8")) for target in TARGETS.values()} == {""}


def test_every_recipe_has_a_verdict_on_every_target() -> None:
    """No combination is left to an exception."""
    verdicts = [refusals(target, recipe) for target in TARGETS.values() for recipe in RECIPES.values()]
    assert len(verdicts) == len(TARGETS) * len(RECIPES)


def test_an_unknown_target_names_the_nearest() -> None:
    """A typing error is answered with what was meant."""
    with pytest.raises(ConfigError, match="expected one of") as caught:
        parse_target("pi4")
    assert "pi-4" in caught.value.hint


@pytest.mark.parametrize(("machine", "names"), [("x86_64", {"x86-64"}), ("armv7l", {"armv7"}), ("riscv64", set())])
def test_latency_is_evidence_only_on_the_same_architecture(machine: str, names: set[str]) -> None:
    """A figure from a PC says nothing of a Pi."""
    assert {name for name, target in TARGETS.items() if is_this_machine(target, machine)} == names


def test_packages_of_targets_are_known() -> None:
    """What a target has is what variants are proven in, or counts as it does."""
    known = {package for packages in PACKAGES.values() for package in packages} | {"onnxruntime-gpu"}
    assert {name for target in TARGETS.values() for packages in target.packages.values() for name in packages} <= known


@pytest.mark.parametrize(
    ("implementations", "usable"),
    [({}, True), ({"tflite-runtime": "2.14.0"}, True), ({"ai-edge-litert": "1.4.0"}, False)],
)
def test_a_variant_must_be_declared_for_a_package_that_the_target_has(
    implementations: dict[str, str], *, usable: bool
) -> None:
    """A 32-bit board has only tflite-runtime: what was not proven there is of no use to it."""
    why = undeclared(parse_target("armv7"), Runtime.TFLITE, implementations)
    assert (why == "") is usable
    assert usable or "edgeferry runtimes add" in why


def test_no_refusal_is_for_a_recipe_that_does_not_exist() -> None:
    """A rule that matches nothing would be a slip."""
    kinds = {(recipe.runtime, recipe.precision) for recipe in RECIPES.values()}
    assert {kind for target in TARGETS.values() for kind in target.refused} <= kinds
    assert (Runtime.ONNX, Precision.INT4) not in kinds
