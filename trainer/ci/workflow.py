"""`edgeferry init --ci github|gitlab`: the workflow that checks every change and publishes what is merged."""

from __future__ import annotations

from enum import StrEnum
from importlib import resources
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConflictError
from fleet_files.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path


class Forge(StrEnum):
    """Where a project's repository lives."""

    GITHUB = "github"
    GITLAB = "gitlab"


WORKFLOW_FILES: Final = {Forge.GITHUB: ".github/workflows/edgeferry.yml", Forge.GITLAB: ".gitlab-ci.yml"}


def write_workflow(folder: Path, forge: Forge, *, force: bool = False) -> Path:
    """Writes the forge's workflow into the project's repository; returns its path.

    Raises:
        ConflictError: it is there already, and `force` was not given.
        StorageError: it cannot be written.
    """
    path = folder / WORKFLOW_FILES[forge]
    if path.exists() and not force:
        raise ConflictError(f"{path}: is there already", hint="overwrite it with --force")
    template = resources.files("trainer") / "templates" / "ci" / f"{forge}.yml"
    write_file(path, template.read_bytes())
    return path
