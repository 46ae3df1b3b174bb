"""The search space, the study's words and what is written into the project file."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from fleet_contract.errors import ConfigError
from tests.fakes.trainer_projects import write_test_project
from trainer.project import load_project
from trainer.tuning.apply import apply_to_text, as_toml, literal
from trainer.tuning.report import best_so_far, study_page
from trainer.tuning.space import choose, dimensions, with_choice
from trainer.tuning.storage import hide_password, with_driver
from trainer.tuning.study import StudyView, TrialView, study_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.project import Project
    from trainer.tuning.settings import Scalar

SPACE = """
[tune.space]
model.units = { kind = "int", low = 4, high = 32, log = true }
model.name = { kind = "choice", values = ["a", "b"] }
train.learning_rate = { kind = "float", low = 1e-4, high = 1e-1, log = true }
"""
CHOICE: dict[str, Scalar] = {"model.units": 20, "model.name": "b", "train.learning_rate": 0.005, "train.epochs": 3}


def make_project(folder: Path, space: str = SPACE) -> Project:
    """A project with a search space."""
    write_test_project(folder, rows=30)
    path = folder / "edgeferry.toml"
    path.write_text(path.read_text() + space)
    return load_project(folder)


class HighestChooser:
    """Takes the upper end of each range and the last choice."""

    def suggest_float(self, name: str, low: float, high: float, *, step: float | None, log: bool) -> float:
        """The upper end."""
        assert name
        assert low <= high
        assert step is None or not log
        return high

    def suggest_int(self, name: str, low: int, high: int, *, step: int, log: bool) -> int:
        """The upper end."""
        assert name
        assert low <= high
        assert step == 1 or not log
        return high

    def suggest_categorical(self, name: str, choices: Sequence[Scalar]) -> Scalar:
        """The last."""
        assert name
        return choices[-1]


def test_a_choice_changes_the_network_and_the_training_and_nothing_else(tmp_path: Path) -> None:
    """Values land in [model.hyperparameters] and [train]; the project given is not changed."""
    project = make_project(tmp_path)
    chosen = with_choice(project, choose(dimensions(project), HighestChooser()))
    assert chosen.settings.model.hyperparameters == {"units": 32, "name": "b"}
    assert chosen.settings.train.learning_rate == 0.1
    assert project.settings.model.hyperparameters == {"units": 8}
    assert chosen.settings.data == project.settings.data


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ("", "section .tune.space.: got nothing"),
        ('[tune.space]\ntrain.lerning_rate = { kind = "float", low = 0.1, high = 0.2 }', "no such key to search"),
        ('[tune.space]\ntrain.seed = { kind = "int", low = 1, high = 2 }', "no such key to search"),
        ('[tune.space]\ntrain.epochs = { kind = "int", low = 0, high = 2 }', "train: .*>= 1"),
        ('[tune.space]\ntrain.epochs = { kind = "choice", values = [3, "many"] }', "train: .*int"),
        ('[tune.space]\nmodel.a = { kind = "float", low = 0.3, high = 0.2 }', "low 0.3 above high 0.2"),
        ('[tune.space]\nmodel.a = { kind = "float", low = 0.0, high = 0.2, log = true }', "a low above 0"),
        ('[tune.space]\nmodel.a = { kind = "int", low = 1, high = 8, log = true, step = 2 }', "log together with step"),
    ],
)
def test_a_space_that_cannot_be_searched_is_refused_before_any_trial(tmp_path: Path, space: str, words: str) -> None:
    """Each end of each range has to be a value that the project file could hold."""
    with pytest.raises(ConfigError, match=words):
        dimensions(make_project(tmp_path, space))


def test_an_unknown_key_of_a_dimension_is_an_error(tmp_path: Path) -> None:
    """A misspelt `low` does not fall back to anything."""
    with pytest.raises(ConfigError, match="lo"):
        make_project(tmp_path, '[tune.space]\nmodel.a = { kind = "float", lo = 0.3, high = 0.2 }')


def test_a_study_belongs_to_its_question(tmp_path: Path) -> None:
    """Present values of what is searched do not count, so that --apply keeps the study; space, data and code do."""
    project = make_project(tmp_path)
    name = study_name(project)
    assert name.startswith("rows-")
    assert study_name(with_choice(project, {"model.units": 9, "train.learning_rate": 0.5})) == name
    assert study_name(with_choice(project, {"train.batch_size": 9})) != name
    other = load_project(tmp_path)
    (tmp_path / "model.py").write_text("# changed")
    assert study_name(replace(other)) != name


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql+psycopg://user:secret@host:5/name", "postgresql+psycopg://user:***@host:5/name"),
        ("postgresql://user@host/name", "postgresql://user@host/name"),
        (
            "postgresql://host/name?user=me&password=secret&sslmode=require",
            "postgresql://host/name?user=me&password=***&sslmode=require",
        ),
        ("sqlite:////tmp/a.db", "sqlite:////tmp/a.db"),
    ],
)
def test_a_password_is_never_shown(url: str, shown: str) -> None:
    """Neither in errors nor in the view of a study."""
    assert hide_password(url) == shown


def test_a_postgresql_url_without_a_driver_takes_the_one_of_our_extra() -> None:
    """Other URLs stay as they are."""
    assert with_driver("postgresql://user@host/name") == "postgresql+psycopg://user@host/name"
    assert with_driver("postgres://host/name") == "postgresql+psycopg://host/name"
    assert with_driver("postgresql+pg8000://host/name") == "postgresql+pg8000://host/name"
    assert with_driver("") == ""


def test_the_best_values_are_put_in_and_everything_else_stays(tmp_path: Path) -> None:
    """Comments and order survive; keys that were not there come under their section; the result reads as wanted."""
    project = make_project(tmp_path)
    path = tmp_path / "edgeferry.toml"
    text = path.read_text().replace("epochs = 6", "epochs = 6   # enough")
    changed = apply_to_text(text, project, CHOICE, source="x")
    assert "epochs = 3   # enough" in changed
    assert [line for line in text.splitlines() if line.startswith("[")] == [
        line for line in changed.splitlines() if line.startswith("[")
    ]
    path.write_text(changed)
    settings = load_project(tmp_path).settings
    assert settings.model.hyperparameters == {"units": 20, "name": "b"}
    assert (settings.train.learning_rate, settings.train.epochs, settings.train.batch_size) == (0.005, 3, 32)


def test_a_section_that_is_not_there_is_added(tmp_path: Path) -> None:
    """At the end, with its values."""
    project = make_project(tmp_path)
    text = (tmp_path / "edgeferry.toml").read_text().replace("[model.hyperparameters]\nunits = 8\n", "")
    (tmp_path / "edgeferry.toml").write_text(text)
    changed = apply_to_text(text, load_project(tmp_path), {"model.units": 20}, source="x")
    assert changed.endswith("[model.hyperparameters]\nunits = 20\n")
    assert project.settings.model.hyperparameters == {"units": 8}


def test_a_layout_that_is_not_understood_is_refused_with_the_lines_to_write(tmp_path: Path) -> None:
    """An inline table is not rewritten by guess."""
    project = make_project(tmp_path)
    text = (tmp_path / "edgeferry.toml").read_text()
    inline = text.replace("[model.hyperparameters]\nunits = 8\n", "[model]\nhyperparameters = { units = 8 }\n")
    with pytest.raises(ConfigError, match="layout") as raised:
        apply_to_text(inline, project, CHOICE, source="x")
    assert as_toml(CHOICE) in raised.value.hint


def test_values_are_written_as_toml_writes_them() -> None:
    """Small numbers keep every digit, strings their quotes and line ends."""
    assert [literal(value) for value in (True, 3, 1e-05, 'a"b\n', 0.1 + 0.2)] == [
        "true",
        "3",
        "1e-05",
        '"a\\"b\\n"',
        "0.30000000000000004",
    ]


def make_view(values: list[float | None]) -> StudyView:
    """A study with these objectives; None was pruned."""
    trials = tuple(
        TrialView(
            number=number,
            state="pruned" if value is None else "complete",
            value=value,
            parameters={"model.<units>": number},
            epochs=2,
        )
        for number, value in enumerate(values)
    )
    return StudyView(
        name="rows-1",
        objective="val_loss",
        storage="sqlite:///x",
        trials=trials,
        best=trials[0],
        importances={"model.<units>": 1.0},
    )


def test_the_page_shows_history_importance_and_every_trial() -> None:
    """The best so far never gets worse; names are escaped; nothing is fetched from elsewhere."""
    view = make_view([0.5, None, 0.7, 0.2])
    assert view.finished == 4
    assert best_so_far(view) == [(0, 0.5), (2, 0.5), (3, 0.2)]
    page = study_page(view)
    assert page.count("<svg") == 2
    assert "model.&lt;units&gt;" in page
    assert "<units>" not in page
    assert "pruned" in page
    assert "src=" not in page
