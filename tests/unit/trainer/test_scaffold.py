"""`edgeferry init` never destroys a user's work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConfigError, ConflictError, ContractError
from trainer.scaffold import default_name, write_project

if TYPE_CHECKING:
    from pathlib import Path


def test_an_existing_file_is_kept_and_nothing_is_written(tmp_path: Path) -> None:
    """One file in the way stops all of them."""
    (tmp_path / "model.py").write_text("mine")
    with pytest.raises(ConflictError, match=r"model\.py"):
        write_project(tmp_path, template="image", name="m")
    assert [path.name for path in tmp_path.iterdir()] == ["model.py"]
    assert (tmp_path / "model.py").read_text() == "mine"


def test_force_overwrites(tmp_path: Path) -> None:
    """With force the template's files replace those there."""
    (tmp_path / "model.py").write_text("mine")
    written = write_project(tmp_path, template="image", name="m", force=True)
    assert "build_model" in (tmp_path / "model.py").read_text()
    assert tmp_path / ".gitignore" in written


def test_an_unknown_template_or_name_is_refused(tmp_path: Path) -> None:
    """Neither leaves a file behind."""
    with pytest.raises(ConfigError, match="image"):
        write_project(tmp_path / "a", template="sound")
    with pytest.raises(ContractError, match="Bad Name"):
        write_project(tmp_path / "a", template="image", name="Bad Name")
    assert not (tmp_path / "a").exists()


def test_the_default_name_is_a_name(tmp_path: Path) -> None:
    """A folder with blanks and capitals still gives a name."""
    assert default_name(tmp_path / "My Cats_2") == "my-cats-2"
    assert default_name(tmp_path / "___") == "model"
