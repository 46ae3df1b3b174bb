"""`edgeferry ci` with real training and conversion, in a child process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from tests.fakes.trainer_projects import LABELS, make_images, write_test_project
from trainer.ci.user_tests import run_user_tests
from trainer.data.schema import infer_schema, write_schema
from trainer.project import load_project
from trainer.sources.npz import load_npz

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.project import Project

CHILD = """
import sys
from pathlib import Path
from edgeferry.commands.ci import ci
ci(Path(sys.argv[1]), Path(sys.argv[2]), as_json=True)
"""
CI = '[convert]\nrecipes = ["tflite-f32"]\n[ci]\nepochs = 8\n'
OWN = "def test_right():\n    assert True\n\n\ndef test_wrong():\n    assert {outcome}\n"


def write_ci_project(folder: Path, *, outcome: bool) -> Project:
    """A project with a reviewed schema and two tests of its own, of which one may fail."""
    write_test_project(folder, rows=450)
    settings = folder / "edgeferry.toml"
    settings.write_text(settings.read_text() + CI)
    write_schema(folder / "schema.json", infer_schema(load_npz(folder / "data.npz")))
    (folder / "tests").mkdir()
    (folder / "tests" / "test_own.py").write_text(OWN.format(outcome=outcome))
    return load_project(folder)


def run_ci(project: Project, out: Path) -> tuple[dict[str, Any], int, str]:
    """The report, the exit code and what was said, of a child that runs CI."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(project.folder), str(out)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    return json.loads(done.stdout), done.returncode, done.stderr


@pytest.mark.slow
def test_all_checks_run_in_order_and_leave_reports_but_no_candidate(tmp_path: Path) -> None:
    """Data, the user's tests, a training twice, gates, conversion; green; the project keeps only the record."""
    project = write_ci_project(tmp_path / "p", outcome=True)
    report, code, said = run_ci(project, tmp_path / "out")
    failed = [check for check in report["checks"] if check["outcome"] == "failed"]
    assert (failed, code) == ([], 0), said
    suites = list(dict.fromkeys(check["suite"] for check in report["checks"]))
    assert suites == ["data", "the project's tests", "training", "gates", "conversion"]
    names = {check["name"] for check in report["checks"]}
    assert {"the second training gives the same figures", "min-accuracy", "tflite-f32"} <= names
    cases = ET.fromstring((tmp_path / "out" / "junit.xml").read_bytes()).iter("testcase")  # noqa: S314 -- our own
    assert len(list(cases)) == len(report["checks"])
    assert "# rows: passed" in (tmp_path / "out" / "summary.md").read_text()
    assert (tmp_path / "out" / "reliability.svg").read_text().startswith("<svg")
    assert sorted(path.name for path in project.state_folder.iterdir() if path.is_file()) == [
        "ci.json",
        "file-hashes.json",
    ]
    assert not (project.folder / "candidates").exists()
    assert not (project.folder / "snapshot.json").exists()


@pytest.mark.slow
def test_bad_data_and_a_failing_test_are_both_told_and_nothing_is_trained(tmp_path: Path) -> None:
    """The exit is that of a failed gate; what cannot be checked is skipped, not passed."""
    import numpy as np

    project = write_ci_project(tmp_path / "p", outcome=False)
    images_B, labels_B = make_images(450)
    inputs_B = images_B.astype(np.int32) - 400
    np.savez(project.folder / "data.npz", inputs=inputs_B, labels=labels_B, label_names=np.asarray(LABELS))
    report, code, said = run_ci(project, tmp_path / "out")
    outcomes = {check["name"]: check["outcome"] for check in report["checks"]}
    assert outcomes["all rows meet the schema"] == "failed"
    assert [name for name in outcomes if name.endswith("::test_wrong") and outcomes[name] == "failed"]
    assert outcomes["all that follows"] == "skipped"
    assert "gates" not in {check["suite"] for check in report["checks"]}
    assert code != 0
    assert "GateError" in said


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
