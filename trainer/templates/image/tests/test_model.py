"""What the network must do before it is worth training. Yours to change; `pytest` runs it."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest

PROJECT = Path(__file__).parents[1]
INPUT_SHAPE = (28, 28, 1)
CLASS_COUNT = 10


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """The network with fresh weights."""
    spec = importlib.util.spec_from_file_location("project_model", PROJECT / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_model(INPUT_SHAPE, CLASS_COUNT)


def test_every_row_is_a_distribution(model: keras.Model) -> None:
    """Scores are probabilities, one a class."""
    scores_BK = np.asarray(model(np.random.default_rng(0).normal(size=(5, *INPUT_SHAPE)).astype(np.float32)))
    assert scores_BK.shape == (5, CLASS_COUNT)
    assert scores_BK.min() >= 0.0
    assert scores_BK.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)


def test_rows_do_not_depend_on_one_another(model: keras.Model) -> None:
    """A row alone scores as it does in a batch: a device asks for one at a time."""
    inputs_B = np.random.default_rng(1).normal(size=(4, *INPUT_SHAPE)).astype(np.float32)
    together_BK = np.asarray(model(inputs_B))
    alone_BK = np.concatenate([np.asarray(model(inputs_B[row : row + 1])) for row in range(4)])
    assert alone_BK == pytest.approx(together_BK, abs=1e-5)
