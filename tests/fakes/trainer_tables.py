"""Small tables for tests of the trainer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fleet_contract.release import Feature
from trainer.data.dataset import Dataset, no_slices


def make_table(count: int = 120, *, seed: int = 0) -> Dataset:
    """Three columns: a temperature, a colour of three, a length; two classes."""
    rng = np.random.default_rng(seed)
    columns = (rng.normal(20, 3, count), np.arange(count) % 3, rng.uniform(0, 1, count))
    return Dataset(
        inputs_B=np.stack(columns, axis=1).astype(np.float32),
        labels_B=np.arange(count, dtype=np.int64) % 2,
        label_names=("off", "on"),
        slices_B=no_slices(count),
        source="table",
        features=(
            Feature(name="heat"),
            Feature(name="colour", categories=("red", "green", "blue")),
            Feature(name="length"),
        ),
    )


def with_value(data: Dataset, row: int, column: int, value: float) -> Dataset:
    """The same table with one other value."""
    inputs_B = data.inputs_B.copy()
    inputs_B[row, column] = value
    return replace(data, inputs_B=inputs_B)
