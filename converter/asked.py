"""What a conversion was asked for: recipes, and targets with what each of them allows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from converter.proof.budgets import Budget, strictest
from converter.proof.targets import is_this_machine, parse_target, recipes_for, refusals, undeclared
from converter.recipe import Recipe, parse_recipes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from converter.proof.targets import Target
    from converter.sources.candidate_folder import Source
    from fleet_contract.candidate import Candidate


@dataclass(frozen=True, slots=True)
class Asked:
    """What to make, and what each target allows; no budgets where nobody named a target."""

    recipes: tuple[Recipe, ...]
    budgets: tuple[Budget, ...]


def ask(candidate: Candidate, recipes: Sequence[str] | None, targets: Sequence[str]) -> Asked:
    """Recipes that are named win over those that suit the targets, and these over the candidate's.

    Raises:
        ConfigError: a recipe or a target is unknown, also one that the project only sets gates for.
    """
    for name in candidate.targets:
        parse_target(name)
    chosen = [parse_target(name) for name in dict.fromkeys(targets)]
    budgets = tuple(_budget(candidate, target) for target in chosen)
    if recipes is not None or not chosen:
        return Asked(parse_recipes(candidate.recipes if recipes is None else recipes), budgets)
    return Asked(tuple(dict.fromkeys(recipe for target in chosen for recipe in recipes_for(target))), budgets)


def aimed(source: Source, budgets: Sequence[Budget]) -> Source:
    """The source with gates under which a search finds what holds on every target."""
    candidate = source.candidate
    return replace(source, candidate=msgspec.structs.replace(candidate, gates=strictest(candidate.gates, budgets)))


def _budget(candidate: Candidate, target: Target) -> Budget:
    own = candidate.targets.get(target.name)
    return Budget(
        target=target.name,
        arch=target.arch,
        ram_mb=float(target.memory_budget_mb),
        here=is_this_machine(target),
        gates=own.over(candidate.gates) if own else candidate.gates,
        refusal=partial(refusals, target),
        unproven=partial(undeclared, target),
    )
