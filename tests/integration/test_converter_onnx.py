"""ONNX recipes from a Keras model to variants, in the child process; foreign ONNX files take the same path."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

from converter.process.jobs import REFERENCE_FILE, BuildJob, Built, ModelKind
from converter.process.runtimes import open_session
from converter.process.sandbox import Limits, environment, run_job
from converter.proof.parity import sqnr_db
from converter.recipe import RECIPES
from fleet_contract.codec import decode
from fleet_contract.device_profile import Runtime
from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.converter_onnx_models import CLASSES, IMAGE_SHAPE, conv_net, images, saved

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ONNX_RECIPES = tuple(name for name, recipe in RECIPES.items() if recipe.runtime is Runtime.ONNX)
LIMITS = Limits(timeout_s=120.0)
MIN_SQNR_DB = {"f32": 100.0, "f16": 45.0, "dyn-int8": 30.0}
KERAS = f"""
import sys, keras
from keras import layers
keras.utils.set_random_seed(3)
model = keras.Sequential([
    keras.Input({IMAGE_SHAPE}),
    layers.Conv2D(24, 3, padding="same"), layers.BatchNormalization(), layers.Activation("gelu"),
    layers.SeparableConv2D(32, 3), layers.ReLU(), layers.Flatten(),
    layers.Dense({CLASSES}, activation="softmax"),
])
model.save(sys.argv[1])
"""


def job(model: Path, kind: ModelKind, recipes: tuple[str, ...]) -> BuildJob:
    """Builds `recipes`, with rows laid beside the model."""
    for name, count, seed in (("calibration", 24, 1), ("selection", 32, 2), ("holdout", 24, 3)):
        np.save(model.parent / f"{name}.npy", images(count, seed))
    return BuildJob(
        model=str(model),
        kind=kind,
        input=TensorSpec(name="image", dtype=DType.FLOAT32, shape=IMAGE_SHAPE),
        output=TensorSpec(name="scores", dtype=DType.FLOAT32, shape=(CLASSES,)),
        recipes=recipes,
        calibration=str(model.parent / "calibration.npy"),
        selection=str(model.parent / "selection.npy"),
        holdout=str(model.parent / "holdout.npy"),
        reference=True,
        trials=str(model.parent / "trials"),
    )


def outcome(folder: Path, recipe: str) -> Built:
    """What the child says of a recipe."""
    return decode((folder / f"{recipe}.result.json").read_bytes(), Built)


def scores(path: Path) -> NDArray[np.float32]:
    """Outputs for the held-out rows, in the real runtime as a device has it."""
    session = open_session(Runtime.ONNX, path)
    assert session.input.dtype is session.output.dtype is DType.FLOAT32
    rows = [session.run(row[None]) for row in np.load(path.parent.parent / "holdout.npy")]
    return np.concatenate(rows).astype(np.float32)


@pytest.mark.slow
def test_every_onnx_recipe_makes_a_variant_of_a_keras_model(tmp_path: Path) -> None:
    """Each loads in the runtime, has float edges, is near the float model, and all but float32 are smaller."""
    model = tmp_path / "model.keras"
    command = [sys.executable, "-c", KERAS, str(model)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=dict(environment(single_thread=False)))
    folder = tmp_path / "build"
    run_job(job(model, ModelKind.KERAS, ONNX_RECIPES), folder, what="conversion", limits=LIMITS)
    reference_BK = np.load(folder / REFERENCE_FILE)
    float_size_bytes = (folder / "onnx-f32.onnx").stat().st_size
    for name in ONNX_RECIPES:
        built = outcome(folder, name)
        assert built.error == ""
        path = folder / built.artifact
        floor_db = MIN_SQNR_DB.get(RECIPES[name].precision, 20.0)
        assert sqnr_db(scores(path), reference_BK) > floor_db, name
        assert name == "onnx-f32" or path.stat().st_size < float_size_bytes


def test_a_foreign_onnx_model_takes_the_same_path(tmp_path: Path) -> None:
    """With an open batch, an older operator set and names of its own."""
    model = saved(conv_net(batch="N", opset=13, prefix="net/"), tmp_path, "model.onnx")
    folder = tmp_path / "build"
    run_job(job(model, ModelKind.ONNX, ("onnx-f32", "onnx-int8")), folder, what="conversion", limits=LIMITS)
    reference_BK = np.load(folder / REFERENCE_FILE)
    assert sqnr_db(scores(folder / outcome(folder, "onnx-f32").artifact), reference_BK) > 100.0
    int8 = outcome(folder, "onnx-int8")
    assert int8.resolved in {"onnx-int8-minmax", "onnx-int8-mse"}
    assert sqnr_db(scores(folder / int8.artifact), reference_BK) > 20.0


def test_a_foreign_model_that_cannot_be_taken_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Never a crash or a wrong variant."""
    model = conv_net()
    model.graph.node[2].domain = "acme"
    model.opset_import.append(onnx.helper.make_opsetid("acme", 1))
    path = saved(model, tmp_path, "model.onnx")
    assert "acme" in refusal(path, tmp_path / "build")


def refusal(model: Path, folder: Path) -> str:
    """Why there is no float variant, as the job or the recipe says."""
    try:
        run_job(job(model, ModelKind.ONNX, ("onnx-f32",)), folder, what="conversion", limits=LIMITS)
    except ModelError as error:
        return error.message
    built = outcome(folder, "onnx-f32")
    assert built.artifact == ""
    return built.error
