"""The search of hyperparameters in a project's own study file: of the present question, and whether it is heeded."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from trainer.tuning.space import dimensions, with_choice
from trainer.tuning.study import open_study, study_name

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.project import Project

STUDY_FILE: Final = "tune.db"
ALWAYS_MATTERS: Final = "train.learning_rate"


class SearchMade(Struct, frozen=True, kw_only=True):
    """A study of the project's present question; `left_out` are hyperparameters that it did not vary."""

    study: str
    finished: int
    left_out: tuple[str, ...]
    heeded: bool
    """Whether the project trains with the best values."""


def search_made(project: Project) -> SearchMade | None:
    """What the study in the state folder found; None where it holds none of the present question.

    A study that is kept in another database is not looked at.

    Raises:
        MissingExtraError: Optuna is not installed.
        UnreachableError: the study cannot be read.
    """
    settings = project.settings.tune
    if settings.storage or not _holds(project.state_folder / STUDY_FILE, settings.study or study_name(project)):
        return None
    view = open_study(project).view()
    hyperparameters = {ALWAYS_MATTERS, *(f"model.{name}" for name in project.settings.model.hyperparameters)}
    best = view.best.parameters if view.best else {}
    return SearchMade(
        study=view.name,
        finished=view.finished,
        left_out=tuple(sorted(hyperparameters - dimensions(project).keys())),
        heeded=bool(best) and with_choice(project, best).settings == project.settings,
    )


def _holds(path: Path, study: str) -> bool:
    """Asked of the file itself, since opening a study makes it."""
    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT 1 FROM studies WHERE study_name = ?", (study,)).fetchone())
    except sqlite3.Error:  # another kind of file: it holds no study
        return False
