"""The retrain worker over in-memory ports, with the real pipeline between them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from fleet_contract.errors import ModelError
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_projects import make_fleet_samples, write_test_project
from tests.fakes.trainer_work import FakeClock, FakeQueue, FakeReleaser
from trainer.judging.validate import Champion
from trainer.records.tracking import list_runs
from trainer.sources.fleet import RawSample
from trainer.sources.npz import load_npz
from trainer.worker import WorkOutcome, run_once

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.progress import Progress
    from trainer.project import Project


@pytest.fixture(scope="module")
def tracking_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One MLflow store for all tests here: making its tables takes a second."""
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'shared.db'}"


@pytest.fixture(autouse=True)
def _shared_tracking(tracking_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs go where `MLFLOW_TRACKING_URI` says."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking_uri)


def work(
    project: Project, queue: FakeQueue, releaser: FakeReleaser, progress: Progress | None = None
) -> WorkOutcome | None:
    """Works once, as worker-1."""
    return run_once(
        project,
        queue,
        releaser,
        owner="worker-1",
        work_folder=project.folder / "work",
        clock=FakeClock(),
        progress=progress or RecordingProgress(),
        lease_s=60.0,
    )


def raw_samples(count: int) -> list[RawSample]:
    """Labelled samples as the server stores them."""
    samples = make_fleet_samples(count)
    return [
        RawSample("uint8", (4, 4, 1), row.tobytes(), label)
        for row, label in zip(samples.inputs_B, samples.labels, strict=True)
    ]


def test_a_request_becomes_a_release(tmp_path: Path) -> None:
    """The candidate carries the request and the fleet's samples, and the result names version and rollout."""
    project = write_test_project(tmp_path, min_accuracy=0.3)
    queue, releaser = FakeQueue(raw_samples(30)), FakeReleaser()
    outcome = work(project, queue, releaser)
    assert outcome is not None
    assert outcome.candidate is not None
    (result,) = queue.results
    assert (result.failed, result.version, result.rollout_id, result.owner) == (False, 2, "rollout-7", "worker-1")
    assert releaser.released == [outcome.candidate.folder]
    assert queue.leased_models == ("rows",)
    lineage = outcome.candidate.candidate.lineage
    assert lineage.retrain_request_id == "req-1"
    assert "fleet samples of request req-1" in lineage.data_source
    assert lineage.run_id in {recorded.run_id for recorded in list_runs(project)}
    assert not (project.state_folder / "mlflow.db").exists()


def test_no_open_request_is_no_work(tmp_path: Path) -> None:
    """The caller decides when to ask again."""
    assert work(write_test_project(tmp_path), FakeQueue(open_requests=0), FakeReleaser()) is None


def test_a_candidate_worse_than_the_champion_is_reported_and_not_released(tmp_path: Path) -> None:
    """The champion is right on every row: the request ends failed, naming the gates."""
    project = write_test_project(tmp_path, epochs=1, min_accuracy=0.0)
    data = load_npz(tmp_path / "data.npz")
    label_of = {row.tobytes(): label for row, label in zip(data.inputs_B, data.labels_B, strict=True)}
    perfect = Champion(7, lambda raw_B: np.eye(3)[[label_of[row.tobytes()] for row in raw_B]])
    queue, releaser = FakeQueue(), FakeReleaser(champion=perfect)
    work(project, queue, releaser)
    (result,) = queue.results
    assert (result.failed, result.version) == (True, 0)
    assert "max-champion-regression" in result.detail
    assert "not-worse-than-champion" in result.detail
    assert releaser.released == []


@pytest.mark.parametrize("where", ["samples", "release"])
def test_an_error_of_ours_is_reported_in_its_words(tmp_path: Path, where: str) -> None:
    """Bad samples and a failed conversion both end the request as failed."""
    project = write_test_project(tmp_path, epochs=1, min_accuracy=0.0)
    bad = RawSample("uint8", (4, 4, 1), b"short", "low")
    queue = FakeQueue([bad] if where == "samples" else [])
    work(project, queue, FakeReleaser(error=ModelError("int8 lost its accuracy")))
    (result,) = queue.results
    assert result.failed
    assert ("got 5 bytes, expected 16" if where == "samples" else "int8 lost its accuracy") in result.detail


def test_a_lost_lease_publishes_and_reports_nothing(tmp_path: Path) -> None:
    """Another worker took the request while this one trained."""
    project = write_test_project(tmp_path, epochs=1, min_accuracy=0.0)
    queue, releaser = FakeQueue(), FakeReleaser()

    def take(stage: str) -> None:
        queue.taken = queue.taken or stage == "train"

    progress = RecordingProgress(take)
    clock = FakeClock()
    outcome = run_once(
        project,
        queue,
        releaser,
        owner="worker-1",
        work_folder=tmp_path / "work",
        clock=clock,
        progress=progress,
        lease_s=0.3,
    )
    assert outcome == WorkOutcome("req-1", result=None)
    assert queue.results == []
    assert releaser.released == []
    assert any("lease lost" in remark for remark in progress.remarks)


def test_an_interrupted_worker_reports_nothing(tmp_path: Path) -> None:
    """Ctrl-C lets the lease expire, so that another worker takes the request."""
    project = write_test_project(tmp_path)
    queue = FakeQueue()

    def interrupt(stage: str) -> None:
        if stage == "split":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work(project, queue, FakeReleaser(), RecordingProgress(interrupt))
    assert queue.results == []
