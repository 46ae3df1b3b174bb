"""`edgeferry score` on a project in git: evidence from the files, the revision and the studies that are there."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec
import pytest

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode, encode
from fleet_contract.errors import DataError, GateError
from tests.fakes.trainer_score import write_scored_project
from trainer import cli_score
from trainer.ci.workflow import Forge, write_workflow
from trainer.records.lineage import git_revision

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 1024 * 1024


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are looked for in the test's own project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def git(folder: Path, *arguments: str) -> None:
    """Runs git with a name for the author."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607 - whichever git there is


def write_committed_project(folder: Path) -> None:
    """A scored project in git, with a workflow, whose candidate comes from the commit."""
    project = write_scored_project(folder)
    write_workflow(folder, Forge.GITHUB)
    (folder / ".gitignore").write_text("candidates/\nrelease/\n.edgeferry/\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    path = folder / "candidates" / "a" / CANDIDATE_FILE
    candidate = decode(path.read_bytes(), Candidate, max_bytes=MAX_BYTES)
    lineage = msgspec.structs.replace(candidate.lineage, git_revision=git_revision(project.folder))
    path.write_bytes(encode(msgspec.structs.replace(candidate, lineage=lineage)))


def scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Points by test, as the command prints them in JSON."""
    capsys.readouterr()
    cli_score.score(folder, server="", token="", html=None, at_least=0.0, as_json=True)
    card = json.loads(capsys.readouterr().out)
    return {"score": card["score"], **{test["id"]: test["points"] for test in card["tests"]}}


def test_a_committed_project_with_a_workflow_reaches_four(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A commit and the workflow give the model section its last point; the page and the floor work."""
    write_committed_project(tmp_path)
    found = scored(tmp_path, capsys)
    assert (found["score"], found["model-1"]) == (4.0, 1.0)
    page = tmp_path / "score.html"
    with pytest.raises(GateError, match=r"got 4, expected at least 4\.5"):
        cli_score.score(tmp_path, server="", token="", html=page, at_least=4.5, as_json=False)
    assert "ML Test Score of rows" in page.read_text()
    assert "model development: 4 of 7" in capsys.readouterr().out


def test_finished_trials_of_a_study_count_and_others_do_not(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ten finished trials are a search; pruned ones are not finished; a database of another kind is passed over."""
    project = write_scored_project(tmp_path)
    project.state_folder.mkdir()
    (project.state_folder / "other.db").write_bytes(b"not a database")
    with closing(sqlite3.connect(project.state_folder / "study.db")) as study:
        study.execute("CREATE TABLE trials (state TEXT)")
        study.executemany("INSERT INTO trials VALUES (?)", [("COMPLETE",)] * 9 + [("PRUNED",)] * 5)
        study.commit()
        assert scored(tmp_path, capsys)["model-3"] == 0.5
        study.execute("INSERT INTO trials VALUES ('COMPLETE')")
        study.commit()
    assert scored(tmp_path, capsys)["model-3"] == 1.0


def test_a_candidate_that_is_not_whole_is_named(tmp_path: Path) -> None:
    """Half a file is no evidence and no crash."""
    write_scored_project(tmp_path)
    path = tmp_path / "candidates" / "a" / CANDIDATE_FILE
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="candidates/a: not a whole candidate"):
        cli_score.score(tmp_path, server="", token="", html=None, at_least=0.0, as_json=True)
