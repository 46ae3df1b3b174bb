"""Recipes: the grammar and its refusals."""

from __future__ import annotations

import pytest

from converter.recipe import RECIPES, parse_recipe, parse_recipes
from fleet_contract.errors import ConfigError
from fleet_contract.names import parse_name
from fleet_contract.tensors import DType


def test_every_recipe_name_gives_back_its_recipe() -> None:
    """A recipe's name parses to the recipe itself and is a legal variant id."""
    for name, recipe in RECIPES.items():
        assert parse_recipe(name) == recipe
        assert recipe.name == parse_name(name)


def test_the_four_recipes_are_known() -> None:
    """Both runtimes have a float and an int8 recipe."""
    assert set(RECIPES) == {"tflite-f32", "tflite-int8", "onnx-f32", "onnx-int8"}


def test_an_unknown_recipe_names_the_nearest() -> None:
    """A slip of the finger is answered with the recipe that was meant."""
    with pytest.raises(ConfigError, match="tflite-in8") as caught:
        parse_recipe("tflite-in8")
    assert "tflite-int8" in caught.value.hint


def test_recipes_are_tried_once_and_in_order() -> None:
    """A name given twice counts once, where it came first."""
    assert [recipe.name for recipe in parse_recipes(["onnx-f32", "tflite-f32", "onnx-f32"])] == [
        "onnx-f32",
        "tflite-f32",
    ]


def test_no_recipe_at_all_is_refused() -> None:
    """A conversion without recipes would make an empty release."""
    with pytest.raises(ConfigError, match="got none"):
        parse_recipes([])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("tflite-int8", DType.INT8), ("tflite-f32", DType.FLOAT32), ("onnx-int8", DType.FLOAT32)],
)
def test_only_full_int8_tflite_has_integer_edges(name: str, dtype: DType) -> None:
    """ONNX in QDQ form keeps float edges."""
    assert parse_recipe(name).edge_dtype is dtype
