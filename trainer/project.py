"""A user's project: a folder with `edgeferry.toml`, a model file, data, and what edgeferry keeps of its runs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConfigError
from trainer.settings import ProjectFile
from trainer.strict_toml import read_strict
from trainer.wrangling.transform_settings import StandardizeSetting

if TYPE_CHECKING:
    from pathlib import Path

PROJECT_FILE: Final = "edgeferry.toml"


@dataclass(frozen=True, slots=True)
class Project:
    """A folder and its settings."""

    folder: Path
    settings: ProjectFile

    @property
    def name(self) -> str:
        """The model's name."""
        return self.settings.project.name

    @property
    def schema_path(self) -> Path:
        """Where the reviewed schema is, or will be."""
        return self.folder / self.settings.data.schema.path

    @property
    def model_path(self) -> Path:
        """The file that holds `build_model`."""
        return self.folder / self.settings.model.file

    @property
    def state_folder(self) -> Path:
        """Where local run metadata are kept; not for version control."""
        return self.folder / ".edgeferry"


def load_project(folder: Path) -> Project:
    """The project in `folder`.

    Raises:
        ConfigError: no project file, or one with an unknown key or an unreadable or contradictory value.
    """
    path = folder / PROJECT_FILE
    settings = read_strict(path, ProjectFile)
    _check_split(settings, path)
    _check_transforms(settings, path)
    return Project(folder=folder.absolute(), settings=settings)


def _check_split(settings: ProjectFile, path: Path) -> None:
    split = settings.data.split
    total = split.train + split.validation + split.test
    if not math.isclose(total, 1.0, abs_tol=1e-6):
        raise ConfigError(
            f"{path}: section [data.split]: train + validation + test: got {total:g}, expected 1",
            hint="for instance train = 0.7, validation = 0.15, test = 0.15",
        )
    if split.fleet_test + split.validation >= 1.0:
        raise ConfigError(
            f"{path}: section [data.split]: fleet_test + validation: "
            f"got {split.fleet_test + split.validation:g}, expected less than 1"
        )


def _check_transforms(settings: ProjectFile, path: Path) -> None:
    for step in settings.preprocessing.transforms:
        given = (step.mean, step.std) if isinstance(step, StandardizeSetting) else ()
        if len({len(values) for values in given if values is not None}) > 1:
            raise ConfigError(f"{path}: section [preprocessing]: standardize: mean and std differ in length")
