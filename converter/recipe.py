"""Recipes: how a variant is made, as data with a name grammar.

    recipe    = runtime "-" precision [ "-" ranges ] [ "-bias" ]
    runtime   = "tflite" | "onnx"
    precision = "f32"          float weights and activations
              | "f16"          weights stored in half precision, float edges
              | "dyn-int8"     int8 weights, activations quantized as they come (or not at all), float edges
              | "int8"         static int8: weights per channel, activations in calibrated ranges
              | "int8-mixed"   int8, with the fewest layers left in float for which the gates hold
              | "int4"         int8, with int4 weights in the fully connected layers (TFLite only)
              | "int8-signed"  int8 with signed activations, for ARM and TensorRT (ONNX only)
    ranges    = "minmax"       the least and the greatest value seen
              | "mse"          clipped where the squared error of rounding is least
              | "tf"           by the TFLite converter itself (TFLite int8 only)
    "-bias"                    each layer's mean error is folded into its bias (TFLite only)

Ranges and bias are for static precisions. A recipe that leaves them out searches: it tries them all and keeps the one
that is nearest to the float model on rows of their own. `tflite-int8` has int8 edges (scale and zero point are in the
manifest); ONNX variants have float edges (QDQ form). ONNX weights take 7 bits, which no processor saturates (decision
0007); unsigned activations are up to three times quicker on x86 than signed.
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
    FLOAT16 = "f16"
    DYNAMIC_INT8 = "dyn-int8"
    INT8 = "int8"
    INT8_MIXED = "int8-mixed"
    INT8_SIGNED = "int8-signed"
    INT4 = "int4"


class Ranges(StrEnum):
    """How the range of an activation is chosen from the values that it took."""

    MINMAX = "minmax"
    MSE = "mse"
    TF = "tf"


STATIC: Final = frozenset({Precision.INT8, Precision.INT8_MIXED, Precision.INT8_SIGNED, Precision.INT4})
"""Precisions whose activations are quantized in ranges that calibration finds."""
_ONLY: Final = {Precision.INT4: Runtime.TFLITE, Precision.INT8_SIGNED: Runtime.ONNX}


@dataclass(frozen=True, slots=True)
class Recipe:
    """One way to make a variant; the variant's id is the recipe's name. `ranges` None: found by search."""

    runtime: Runtime
    precision: Precision
    ranges: Ranges | None = None
    bias: bool = False

    @property
    def name(self) -> str:
        """The recipe in the grammar above."""
        options = (f"-{self.ranges}" if self.ranges else "") + ("-bias" if self.bias else "")
        return f"{self.runtime}-{self.precision}{options}"

    @property
    def file_name(self) -> str:
        """File name of the artifact, for people."""
        return f"{self.name}.{self.runtime}"

    @property
    def exact(self) -> bool:
        """Whether the variant is the float model, up to the rounding of float32."""
        return self.precision is Precision.FLOAT32

    @property
    def static(self) -> bool:
        """Whether the variant computes in integers, in calibrated ranges."""
        return self.precision in STATIC

    @property
    def edge_dtypes(self) -> frozenset[DType]:
        """Element types that the variant's input and output may have; layers left in float may stand at an edge."""
        if not self.static or self.runtime is Runtime.ONNX:
            return frozenset({DType.FLOAT32})
        mixed = {DType.FLOAT32} if self.precision is Precision.INT8_MIXED else set()
        return frozenset({DType.INT8, *mixed})


def _all_recipes() -> Iterable[Recipe]:
    for runtime in Runtime:
        for precision in Precision:
            if _ONLY.get(precision, runtime) is not runtime:
                continue
            yield Recipe(runtime, precision)
            if precision in STATIC:
                yield from _with_options(runtime, precision)


def _with_options(runtime: Runtime, precision: Precision) -> Iterable[Recipe]:
    for ranges in (Ranges.MINMAX, Ranges.MSE):
        yield Recipe(runtime, precision, ranges)
        if runtime is Runtime.TFLITE:
            yield Recipe(runtime, precision, ranges, bias=True)
    if (runtime, precision) == (Runtime.TFLITE, Precision.INT8):
        yield Recipe(runtime, precision, Ranges.TF)


RECIPES: Final[dict[str, Recipe]] = {recipe.name: recipe for recipe in _all_recipes()}
FAMILIES: Final = tuple(name for name, recipe in RECIPES.items() if recipe.ranges is None)
"""Names without options: what people usually ask for."""


def parse_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        ConfigError: there is none; the hint names the nearest.
    """
    if name in RECIPES:
        return RECIPES[name]
    near = get_close_matches(name, RECIPES, n=1, cutoff=0.4)
    raise ConfigError(
        f"recipe: got {name!r}, expected one of {', '.join(FAMILIES)}",
        hint=f"did you mean {near[0]!r}?" if near else "",
    )


def parse_recipes(names: Iterable[str]) -> tuple[Recipe, ...]:
    """The recipes of those names, each once, in the order given.

    Raises:
        ConfigError: a name is unknown, or there is none at all.
    """
    recipes = tuple(dict.fromkeys(parse_recipe(name) for name in names))
    if not recipes:
        raise ConfigError(f"recipes: got none, expected at least one of {', '.join(FAMILIES)}")
    return recipes
