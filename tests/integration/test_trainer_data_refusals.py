"""Data and settings that do not fit: refused by name before anything is written, by every command that reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from fleet_contract.errors import ConfigError, DataError
from tests.fakes.trainer_files import table_columns, write_csv
from tests.fakes.trainer_projects import write_test_project
from trainer.cli_data import app
from trainer.progress import Silent
from trainer.project import load_project
from trainer.tuning.tune import Search, search, search_in_workers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typer.testing import Result

    from trainer.project import Project

Columns = dict[str, list[object]]


def on_table(folder: Path, columns: Columns, **settings: str) -> Project:
    """A project on a table; `settings` replace texts of its file by others."""
    project = write_test_project(folder, rows=30)
    path = folder / "edgeferry.toml"
    text = path.read_text().replace("npz:data.npz", "csv:d.csv")
    for old, new in settings.items():
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)
    write_csv(folder / "d.csv", columns)
    return load_project(project.folder)


def spoiled(**values: object) -> Columns:
    """Ninety rows, of which the last has these values."""
    columns = table_columns(90)
    for name, value in values.items():
        columns[name][-1] = value
    return columns


def call(project: Project, *arguments: str) -> Result:
    """What `edgeferry data ARGUMENTS` prints; errors of ours are in `.exception`."""
    return CliRunner().invoke(app, [*arguments, "--project", str(project.folder)])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        (spoiled(width=""), "d.csv row 89, column 'width'"),
        (spoiled(width="inf"), "d.csv row 89, column 'width'"),
        (spoiled(label="maybe"), "'maybe' has 1 rows, expected at least 3 (d.csv row 89)"),
    ],
    ids=["a gap", "infinity", "a class of one row"],
)
def test_no_schema_is_written_that_its_own_data_fail(tmp_path: Path, columns: Columns, words: str) -> None:
    """Neither a first one nor over the reviewed one, which stays byte for byte."""
    project = on_table(tmp_path, columns)
    refused = call(project, "schema", "--update").exception
    assert isinstance(refused, DataError)
    assert words in refused.message
    assert not project.schema_path.exists()
    write_csv(tmp_path / "d.csv", table_columns(90))
    assert call(project, "schema", "--update").exit_code == 0
    reviewed = project.schema_path.read_bytes()
    write_csv(tmp_path / "d.csv", columns)
    assert isinstance(call(project, "schema", "--update").exception, DataError)
    assert project.schema_path.read_bytes() == reviewed


def test_a_schema_is_written_for_gaps_that_are_allowed(tmp_path: Path) -> None:
    """The option takes missing values, and a class of one row no more than before."""
    project = on_table(tmp_path, spoiled(width=""))
    assert call(project, "schema", "--update", "--allow-missing").exit_code == 0
    write_csv(tmp_path / "d.csv", spoiled(width="", label="maybe"))
    project.schema_path.unlink()
    refused = call(project, "schema", "--update", "--allow-missing").exception
    assert isinstance(refused, DataError)
    assert not project.schema_path.exists()


def test_verification_finds_transforms_that_the_data_cannot_take(tmp_path: Path) -> None:
    """An absent column is a setting to mend, numbers that are no codes are told with other findings."""
    transform = '{ kind = "standardize" }'
    project = on_table(tmp_path, table_columns(90), **{transform: '{ kind = "one-hot", columns = ["widht"] }'})
    refused = call(project, "verify").exception
    assert isinstance(refused, ConfigError)
    assert "'widht'" in refused.message
    project = on_table(tmp_path, table_columns(90), **{transform: '{ kind = "one-hot", columns = ["width"] }'})
    result = call(project, "verify")
    assert isinstance(result.exception, DataError)
    assert "values that are no codes" in result.exception.message
    assert "sound" not in result.stdout


SEARCHES: dict[str, Callable[[Project, Search], object]] = {
    "here": lambda project, plan: search(project, plan, progress=Silent(), on_trial=lambda _view: None),
    "in workers": lambda project, plan: search_in_workers(
        project, plan, workers=2, progress=Silent(), on_trial=lambda _view: None
    ),
}


@pytest.mark.parametrize("start", SEARCHES.values(), ids=SEARCHES)
def test_a_search_on_refused_data_leaves_no_study(tmp_path: Path, start: Callable[[Project, Search], object]) -> None:
    """Data are read and verified before the study is made."""
    space = '\n[tune.space]\nmodel.units = { kind = "int", low = 2, high = 4 }\n[validate]'
    project = on_table(tmp_path, spoiled(width="inf"), **{"\n[validate]": space})
    with pytest.raises(DataError, match="row 89"):
        start(project, Search(trials=1))
    assert [path.name for path in (tmp_path / ".edgeferry").iterdir()] == ["file-hashes.json"]
