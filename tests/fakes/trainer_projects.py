"""Small projects for tests of the trainer: three classes of 4x4 images, bright in one row each, and a tiny network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tests.fakes.mlflow_store import give_run_store
from trainer.data.dataset import Dataset, FleetSamples, no_slices
from trainer.project import Project, load_project

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LABELS = ("low", "middle", "high")
MODEL = """
import keras

def build_model(input_shape, class_count, *, units=16):
    layers = keras.layers
    return keras.Sequential([
        keras.Input(input_shape), layers.Flatten(), layers.Dense(units, activation="relu"),
        layers.Dense(class_count, activation="softmax"),
    ])
"""
SETTINGS = """
[project]
name = "rows"
[data]
source = "npz:data.npz"
{data}
[preprocessing]
transforms = [{{ kind = "standardize" }}]
[model.hyperparameters]
units = 8
[train]
epochs = {epochs}
batch_size = 32
learning_rate = 0.02
[resources]
priority = 0
[validate]
min_accuracy = {min_accuracy}
"""


def make_images(count: int, *, seed: int = 0, inverted: bool = False) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (B, 4, 4, 1) with labels in turn: row `label` is bright, or dark where `inverted`."""
    rng = np.random.default_rng(seed)
    labels_B = np.arange(count, dtype=np.int64) % len(LABELS)
    images_B = rng.integers(0, 120, (count, 4, 4, 1))
    images_B[np.arange(count), labels_B] += 100
    images_B[0, 0, 0], images_B[-1, 0, 0] = 0, 255
    return (255 - images_B if inverted else images_B).astype(np.uint8), labels_B


def make_dataset(count: int = 90, *, inputs_B: NDArray[Any] | None = None) -> Dataset:
    """A dataset of `make_images`, or of the inputs given."""
    images_B, labels_B = make_images(count)
    return Dataset(
        inputs_B=images_B if inputs_B is None else inputs_B,
        labels_B=labels_B,
        label_names=LABELS,
        slices_B=no_slices(count),
        source="test",
    )


def make_fleet_samples(count: int, *, inverted: bool = True) -> FleetSamples:
    """Labelled samples under new conditions."""
    images_B, labels_B = make_images(count, seed=99, inverted=inverted)
    return FleetSamples(inputs_B=images_B, labels=[LABELS[label] for label in labels_B], source="fleet samples")


def write_test_project(
    folder: Path, *, rows: int = 300, epochs: int = 6, min_accuracy: float = 0.6, data: str = "", trained: bool = False
) -> Project:
    """A project that trains in a second or two; `trained` spares the making of the database of its runs."""
    folder.mkdir(parents=True, exist_ok=True)
    images_B, labels_B = make_images(rows)
    np.savez(folder / "data.npz", inputs=images_B, labels=labels_B, label_names=np.asarray(LABELS))
    (folder / "model.py").write_text(MODEL)
    (folder / "edgeferry.toml").write_text(SETTINGS.format(epochs=epochs, min_accuracy=min_accuracy, data=data))
    project = load_project(folder)
    if trained:
        give_run_store(project.state_folder)
    return project
