"""What a conversion is asked for: who wins, and which gates hold where."""

from __future__ import annotations

import msgspec
import pytest

from converter.asked import ask
from converter.proof.targets import TARGETS, recipes_for
from converter.recipe import parse_recipe
from fleet_contract.candidate import Candidate, GateOverrides, VariantGates
from fleet_contract.errors import ConfigError
from tests.fakes.converter_candidates import ALL_RECIPES, candidate_document


def document(**changes: object) -> Candidate:
    """A candidate that asks for four recipes."""
    return msgspec.structs.replace(candidate_document({}), **changes)


def names(recipes: tuple[object, ...]) -> list[str]:
    """The recipes' names."""
    return [str(getattr(recipe, "name", "")) for recipe in recipes]


def test_without_targets_the_candidate_says_what_is_made() -> None:
    """Its recipes, and no budget."""
    asked = ask(document(), None, ())
    assert (names(asked.recipes), asked.budgets) == (list(ALL_RECIPES), ())


def test_targets_choose_the_recipes_that_suit_them() -> None:
    """All of each target's, each once."""
    asked = ask(document(), None, ("pi-4", "jetson-orin", "pi-4"))
    wanted = dict.fromkeys([*recipes_for(TARGETS["pi-4"]), *recipes_for(TARGETS["jetson-orin"])])
    assert asked.recipes == tuple(wanted)
    assert [budget.target for budget in asked.budgets] == ["pi-4", "jetson-orin"]


def test_recipes_on_the_command_line_win() -> None:
    """Over those that suit the target."""
    assert ask(document(), ("onnx-f32",), ("pi-4",)).recipes == (parse_recipe("onnx-f32"),)


def test_a_target_has_the_projects_gates_but_for_its_own() -> None:
    """What `[convert.targets.pi-4]` leaves out is as in `[convert.gates]`."""
    wish = document(
        gates=VariantGates(min_sqnr_db=20.0),
        targets={"pi-4": GateOverrides(max_size_bytes=9)},
    )
    own, other = ask(wish, None, ("pi-4", "pi-5")).budgets
    assert own.gates == VariantGates(min_sqnr_db=20.0, max_size_bytes=9)
    assert other.gates == wish.gates
    assert own.ram_mb == TARGETS["pi-4"].memory_budget_mb


@pytest.mark.parametrize(
    "wish", [(document(), ("pi-44",)), (document(targets={"pi-44": GateOverrides(max_size_bytes=9)}), ())]
)
def test_a_misspelt_target_is_an_error_wherever_it_stands(wish: tuple[Candidate, tuple[str, ...]]) -> None:
    """Gates for a target that does not exist would silently hold nowhere."""
    with pytest.raises(ConfigError, match="pi-44"):
        ask(wish[0], None, wish[1])
