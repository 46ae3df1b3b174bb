"""`edgeferry ci` on a change that must not be merged; on one that may, see test_trainer_templates.py."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgeferry.commands.ci import ci
from fleet_contract.errors import ConfigError, GateError
from tests.fakes.trainer_projects import LABELS, make_images, write_test_project
from trainer.ci.user_tests import run_user_tests
from trainer.data.schema import infer_schema, write_schema
from trainer.project import load_project
from trainer.sources.npz import load_npz

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.project import Project

OWN = "def test_right():\n    assert True\n\n\ndef test_wrong():\n    assert {outcome}\n"


def write_ci_project(folder: Path, *, outcome: bool) -> Project:
    """A project with a reviewed schema and two tests of its own, of which one may fail."""
    write_test_project(folder)
    write_schema(folder / "schema.json", infer_schema(load_npz(folder / "data.npz")))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_own.py").write_text(OWN.format(outcome=outcome))
    return load_project(folder)


def test_bad_data_and_a_failing_test_are_both_told_and_nothing_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit is that of a failed gate; what cannot be checked is skipped, not passed."""
    project = write_ci_project(tmp_path / "p", outcome=False)
    images_B, labels_B = make_images(300)
    inputs_B = images_B.astype(np.int32) - 400
    np.savez(project.folder / "data.npz", inputs=inputs_B, labels=labels_B, label_names=np.asarray(LABELS))
    with pytest.raises(GateError, match="all rows meet the schema"):
        ci(project.folder, tmp_path / "out", as_json=True)
    report = json.loads(capsys.readouterr().out)
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["all rows meet the schema"] == "failed"
    assert [name for name in outcomes if name.endswith("::test_wrong") and outcomes[name] == "failed"]
    assert outcomes["all that follows"] == "skipped"
    assert "gates" not in {check["suite"] for check in report["checks"]}
    assert "FAILED" in (tmp_path / "out" / "summary.md").read_text()


def test_the_projects_tests_run_in_a_child_each_as_a_check(tmp_path: Path) -> None:
    """In any order; no folder and an empty file are no tests."""
    project = write_ci_project(tmp_path / "p", outcome=False)
    outcomes = {check.name.rpartition("::")[2]: check.outcome.value for check in run_user_tests(project)}
    assert outcomes == {"test_right": "passed", "test_wrong": "failed"}
    own = project.folder / "tests" / "test_own.py"
    own.write_text("")
    assert run_user_tests(project) == []
    shutil.rmtree(own.parent)
    assert run_user_tests(project) == []


def test_tests_that_cannot_be_collected_say_why_at_once(tmp_path: Path) -> None:
    """The first line of the message is all that a table shows."""
    project = write_ci_project(tmp_path / "p", outcome=True)
    (project.folder / "tests" / "test_own.py").write_text("import nothing_of_that_name\n")
    with pytest.raises(ConfigError, match=r"^[^\n]*pytest ended with 2: ModuleNotFoundError.*nothing_of_that_name"):
        run_user_tests(project)
