"""Recipes: the grammar and its refusals."""

from __future__ import annotations

import pytest

from converter.recipe import FAMILIES, RECIPES, parse_recipe, parse_recipes
from fleet_contract.errors import ConfigError
from fleet_contract.names import parse_name
from fleet_contract.tensors import DType


def test_every_recipe_name_gives_back_its_recipe() -> None:
    """A recipe's name parses to the recipe itself and is a legal variant id."""
    for name, recipe in RECIPES.items():
        assert parse_recipe(name) == recipe
        assert recipe.name == parse_name(name)


def test_each_runtime_has_the_precisions_that_it_can_run() -> None:
    """int4 is TFLite's, signed activations are ONNX's; only static precisions have options."""
    assert set(FAMILIES) == {
        *(f"tflite-{precision}" for precision in ("f32", "f16", "dyn-int8", "int8", "int8-mixed", "int4")),
        *(f"onnx-{precision}" for precision in ("f32", "f16", "dyn-int8", "int8", "int8-mixed", "int8-signed")),
    }
    assert {"tflite-int8-tf", "tflite-int8-mse-bias", "onnx-int8-signed-minmax"} < set(RECIPES)
    assert not {"tflite-f32-mse", "onnx-int8-tf", "onnx-int8-mse-bias"} & set(RECIPES)


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
    ("name", "dtypes"),
    [
        ("tflite-int8", {DType.INT8}),
        ("tflite-int8-mixed", {DType.INT8, DType.FLOAT32}),
        ("tflite-f32", {DType.FLOAT32}),
        ("tflite-dyn-int8", {DType.FLOAT32}),
        ("onnx-int8", {DType.FLOAT32}),
    ],
)
def test_only_static_tflite_has_integer_edges(name: str, dtypes: set[DType]) -> None:
    """ONNX in QDQ form keeps float edges; a layer left in float may stand at an edge."""
    assert parse_recipe(name).edge_dtypes == dtypes
