"""What the declared preprocessing does to the tumours' columns, and one row followed step by step. Yours to change.

pytest -s tests/test_inputs.py -k step_by_step    # prints what each transform and each layer makes of a row
"""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fleet_contract.preprocessing import Transform, apply, output_shape
from trainer.progress import Silent
from trainer.project import Project, load_project
from trainer.stages import ingest
from trainer.wrangling.transforms import fit_transforms

PROJECT = Path(__file__).parents[1]
ROWS = 200
CLASSES = 2


@pytest.fixture(scope="module")
def project() -> Project:
    """The project with its settings."""
    return load_project(PROJECT)


@pytest.fixture(scope="module")
def data(project: Project) -> Any:
    """The real data."""
    return ingest(project, None, Silent())


@pytest.fixture(scope="module")
def rows(data: Any) -> NDArray[Any]:
    """A few real rows, as a device has them."""
    return data.inputs_B[:ROWS]


@pytest.fixture(scope="module")
def steps(project: Project, data: Any, rows: NDArray[Any]) -> tuple[Transform, ...]:
    """The declared transforms, fitted on those rows."""
    return fit_transforms(project.settings.preprocessing.transforms, rows, data.features)


def test_real_rows_become_finite_numbers_of_one_shape(steps: tuple[Transform, ...], rows: NDArray[Any]) -> None:
    """What the network gets is whole."""
    made_B = apply(steps, rows)
    assert made_B.shape == (len(rows), *output_shape(steps, rows.shape[1:]))
    assert np.isfinite(made_B).all()


def test_no_value_is_wilder_than_the_clip_allows(steps: tuple[Transform, ...], rows: NDArray[Any]) -> None:
    """Also for a row that is far from all others."""
    wild_B = np.concatenate([rows, rows[:1] * 1e6])
    made_B = apply(steps, wild_B)
    assert np.abs(made_B).max() <= 6.0


def test_one_row_can_be_followed_step_by_step(
    project: Project, steps: tuple[Transform, ...], rows: NDArray[Any]
) -> None:
    """Each transform and then each layer alone give what all of them give at once."""
    row_B = rows[:1]
    for step in steps:
        row_B = told(step.__class__.__name__, apply((step,), row_B))
    assert row_B == pytest.approx(apply(steps, rows[:1]))
    model = built(project, row_B.shape[1:])
    value = row_B
    for layer in model.layers:
        value = told(layer.name, np.asarray(layer(value)))
    assert value == pytest.approx(np.asarray(model(row_B)), abs=1e-5)


def told(name: str, value_B: NDArray[Any]) -> NDArray[Any]:
    """The value, after a line about it."""
    print(f"{name:<20} {value_B.shape!s:<18} {value_B.min():10.4f} to {value_B.max():10.4f}")
    return value_B


def built(project: Project, shape: tuple[int, ...]) -> Any:
    """The network with fresh weights."""
    spec = importlib.util.spec_from_file_location("project_model", project.model_path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.build_model(shape, CLASSES)
