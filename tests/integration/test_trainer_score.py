"""`edgeferry score` on a project in git: evidence from the files, the revision and the studies that are there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import msgspec
import pytest

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode, encode
from fleet_contract.errors import DataError, GateError
from fleet_files.durable import make_folder
from tests.fakes.contract_documents import NOON
from tests.fakes.trainer_forge import commit_all
from tests.fakes.trainer_projects import write_test_project
from tests.fakes.trainer_score import write_scored_project
from trainer import cli_score
from trainer.ci.checks import Check, CiReport, Outcome
from trainer.ci.running import REPORT_FILE
from trainer.ci.workflow import Forge, write_workflow
from trainer.project import load_project
from trainer.records.lineage import git_revision
from trainer.score.searched import search_made
from trainer.tuning.study import open_study

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.project import Project

MAX_BYTES = 1024 * 1024


@pytest.fixture(autouse=True)
def _local_tracking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs are looked for in the test's own project."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def write_committed_project(folder: Path, *, message: str) -> None:
    """A scored project in git, with a workflow and a green CI run, whose candidate comes from the commit."""
    project = write_scored_project(folder)
    write_workflow(folder, Forge.GITHUB)
    (folder / ".gitignore").write_text("candidates/\nrelease/\n.edgeferry/\n")
    commit_all(folder, message)
    revision = git_revision(folder)
    path = folder / "candidates" / "a" / CANDIDATE_FILE
    candidate = decode(path.read_bytes(), Candidate, max_bytes=MAX_BYTES)
    lineage = msgspec.structs.replace(candidate.lineage, git_revision=revision)
    path.write_bytes(encode(msgspec.structs.replace(candidate, lineage=lineage)))
    green = (Check(suite="training", name="the second training gives the same figures", outcome=Outcome.PASSED),)
    project.state_folder.mkdir()
    report = CiReport(model="rows", at=NOON, git_revision=revision, checks=green)
    (project.state_folder / REPORT_FILE).write_bytes(encode(report))


def scored(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, float]:
    """Points by test, as the command prints them in JSON."""
    capsys.readouterr()
    cli_score.score(folder, server="", token="", html=None, at_least=0.0, as_json=True)
    card = json.loads(capsys.readouterr().out)
    return {"score": card["score"], **{test["id"]: test["points"] for test in card["tests"]}}


@pytest.mark.parametrize(
    ("message", "points"),
    [
        ("Widen the network", 0.5),
        ("Widen the network\n\nReviewed-by: Ada <ada@example.org>", 1.0),
        ("Merge pull request #7 from ada/wider\n\nWiden the network", 1.0),
        ("Widen the network (#7)", 1.0),
        ("Merge branch 'wider' into 'main'\n\nSee merge request ada/eye!7", 1.0),
    ],
)
def test_a_committed_and_checked_change_needs_the_trace_of_a_review(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], message: str, points: float
) -> None:
    """A commit, a workflow and green checks are half of "reviewed and submitted"."""
    write_committed_project(tmp_path, message=message)
    assert scored(tmp_path, capsys)["model-1"] == points


def test_the_page_and_the_floor_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A score below the floor fails, after everything was shown."""
    write_committed_project(tmp_path, message="Widen the network (#7)")
    page = tmp_path / "score.html"
    with pytest.raises(GateError, match=r"got 3\.5, expected at least 4"):
        cli_score.score(tmp_path, server="", token="", html=page, at_least=4.0, as_json=False)
    assert "ML Test Score of rows" in page.read_text()
    assert "model development: 3.5 of 7" in capsys.readouterr().out


def test_a_search_of_the_present_question_is_found_and_whether_it_is_heeded(tmp_path: Path) -> None:
    """Another question is another study; a file that is no database holds none; looking makes no study."""
    optuna = pytest.importorskip("optuna")
    project = write_searched_project(tmp_path)
    store = make_folder(project.state_folder) / "tune.db"
    store.write_bytes(b"not a database")
    assert search_made(project) is None
    store.unlink()
    assert search_made(project) is None
    assert not store.exists()
    space = {"train.learning_rate": optuna.distributions.FloatDistribution(1e-3, 1e-1)}
    for finished, (value, rate, heeded) in enumerate(((0.5, 0.05, False), (0.4, 0.02, True)), start=1):
        trial = optuna.trial.create_trial(params={"train.learning_rate": rate}, distributions=space, value=value)
        open_study(project).handle.add_trial(trial)
        found = search_made(project)
        assert found is not None
        assert (found.finished, found.left_out, found.heeded) == (finished, ("model.units",), heeded)
    model = project.model_path
    model.write_text(model.read_text() + "\n# another network\n")
    assert search_made(project) is None


def write_searched_project(folder: Path) -> Project:
    """A project that searches its learning rate, and trains with 0.02."""
    write_test_project(folder)
    settings = folder / "edgeferry.toml"
    settings.write_text(
        settings.read_text() + '[tune.space]\ntrain.learning_rate = { kind = "float", low = 1e-3, high = 1e-1 }\n'
    )
    return load_project(folder)


def test_a_candidate_that_is_not_whole_is_named(tmp_path: Path) -> None:
    """Half a file is no evidence and no crash."""
    write_scored_project(tmp_path)
    path = tmp_path / "candidates" / "a" / CANDIDATE_FILE
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="candidates/a: not a whole candidate"):
        cli_score.score(tmp_path, server="", token="", html=None, at_least=0.0, as_json=True)
