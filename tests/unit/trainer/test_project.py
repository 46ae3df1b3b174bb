"""The project file: what it may say, and how it is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConfigError
from tests.fakes.trainer_projects import write_test_project
from trainer.project import load_project
from trainer.scaffold import write_project

if TYPE_CHECKING:
    from pathlib import Path

BAD_LINES = {
    "an unknown key names the nearest": ("epochs = 6", "epoch = 6", "section [train]: unknown key 'epoch'", "'epochs'"),
    "an unknown section names the nearest": ("[validate]", "[validation]", "unknown key 'validation'", "'validate'"),
    "a key that has moved": ("epochs = 6", "threads = 2", "[train]: unknown key 'threads'", "[resources] threads"),
    "an unknown key of a transform": (
        '{ kind = "standardize" }',
        '{ kind = "scale", factr = 1.0 }',
        "unknown key 'factr'",
        "'factor'",
    ),
    "a gate that is not a number": ("min_accuracy = 0.6", "min_accuracy = nan", "expected a finite number", ""),
    "a gate beyond one": ("min_accuracy = 0.6", "min_accuracy = 60.0", "<= 1.0", ""),
    "a gate in words": ("min_accuracy = 0.6", 'min_accuracy = "high"', "Expected `float`", ""),
    "text that is not TOML": ("[train]", "[train", "not TOML", ""),
    "a transform that is not one": ('kind = "standardize"', 'kind = "blur"', "blur", ""),
    "a split that does not add up": ("[model.hyperparameters]", "[data.split]\ntest = 0.5\n[model.hyperparameters]",
                                     "expected 1", "for instance"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message", "hint"), BAD_LINES.values(), ids=BAD_LINES)
def test_refuses(tmp_path: Path, old: str, new: str, message: str, hint: str) -> None:
    """A project file with a fault is refused in words that name the fault."""
    write_test_project(tmp_path)
    path = tmp_path / "edgeferry.toml"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert str(path) in caught.value.message


def test_a_missing_project_file_points_to_init(tmp_path: Path) -> None:
    """Where there is no project, the hint says how to make one."""
    with pytest.raises(ConfigError) as caught:
        load_project(tmp_path)
    assert "edgeferry init" in caught.value.hint


def test_the_image_template_is_a_valid_project(tmp_path: Path) -> None:
    """What `edgeferry init` writes loads, with the name given."""
    write_project(tmp_path / "p", template="image", name="fruit")
    assert load_project(tmp_path / "p").name == "fruit"
