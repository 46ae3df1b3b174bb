"""Recipes: how a variant is made, as data with a name grammar.

    recipe    = runtime "-" precision
    runtime   = "tflite" | "onnx"
    precision = "f32"      float weights and activations
              | "int8"     static int8: weights per channel, activations calibrated (min-max)

`tflite-int8` has int8 edges (its scale and zero point are in the manifest), `onnx-int8` float edges (QDQ form,
activations unsigned, which is up to three times quicker on x86 than signed, weights signed in 7 bits, which no
processor saturates).
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ConfigError
from fleet_contract.tensors import DType

if TYPE_CHECKING:
    from collections.abc import Iterable


class Precision(StrEnum):
    """How the numbers of a variant are stored and computed with."""

    FLOAT32 = "f32"
    INT8 = "int8"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a variant; the variant's id is the recipe's name."""

    runtime: Runtime
    precision: Precision

    @property
    def name(self) -> str:
        """The recipe in the grammar above."""
        return f"{self.runtime}-{self.precision}"

    @property
    def file_name(self) -> str:
        """File name of the artifact, for people."""
        return f"{self.name}.{self.runtime}"

    @property
    def quantized(self) -> bool:
        """Whether the variant computes in integers, so that it differs from the float model by design."""
        return self.precision is Precision.INT8

    @property
    def edge_dtype(self) -> DType:
        """Element type that the variant's input and output must have."""
        return DType.INT8 if self.quantized and self.runtime is Runtime.TFLITE else DType.FLOAT32


RECIPES: Final[dict[str, Recipe]] = {
    recipe.name: recipe for recipe in (Recipe(runtime, precision) for runtime in Runtime for precision in Precision)
}


def parse_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: there is none; the hint names the nearest.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    raise ConfigError(
        f"recipe: got {name!r}, expected one of {', '.join(RECIPES)}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )


def parse_recipes(names: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes of those names, each once, in the order given.

    Raises:
        ConfigError: a name is unknown, or there is none at all.
    """
    recipes = tuple(dict.fromkeys(parse_recipe(name) for name in names))
    if not recipes:
        raise ConfigError(f"recipes: got none, expected at least one of {', '.join(RECIPES)}")
    return recipes
