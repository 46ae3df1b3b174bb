"""Lineage over a real server and folders, overridden releases, and runs in a real MLflow store."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import msgspec
import pytest

from edgeferry.commands.lineage import folder_lineage, lineage_lines, server_lineage
from edgeferry.publishing import publish_bundle
from fleet_contract.codec import encode
from fleet_contract.errors import ConflictError, GateError, NotFoundError, TrustError
from fleet_contract.release import GateResult, Verdict
from tests.fakes.server_core import blob_contents, release, serving
from tests.fakes.trainer_projects import write_test_project
from tests.fakes.trainer_score import write_scored_project
from trainer.records.run_comparison import compare_runs
from trainer.records.tracking import MAX_METRICS, list_runs, read_run, tracked_run
from trainer.records.tracking_ui import LOOPBACK, ui_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fleet_contract.api import ReleaseView
    from tests.fakes.server_core import TestServer

FAILED = Verdict(
    passed=False,
    gates=(GateResult(gate="worst-slice", passed=False, measured=0.1, threshold=0.5),),
    override="ann: the night camera needs it",
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """One server for the module's tests."""
    with serving(tmp_path_factory.mktemp("lineage")) as running:
        yield running


def publish(server: TestServer, verdict: Verdict, *, accepted_by: str = "") -> ReleaseView:
    """Publishes a small bundle as `edgeferry publish` does."""
    blobs = server.folder / "bundle"
    blobs.mkdir(exist_ok=True)
    for content in blob_contents(1):
        (blobs / hashlib.sha256(content).hexdigest()).write_bytes(content)
    return publish_bundle(
        server.client(),
        release(1, verdict=verdict),
        blobs,
        release_key=server.keys / "release" / "release-digits.pem",
        now=datetime.now(UTC),
        say=list[str]().append,
        accepted_by=accepted_by,
    )


def test_an_overridden_release_goes_out_only_when_that_is_accepted_signed_and_logged(server: TestServer) -> None:
    """The manifest says who overrode, who accepted and with which key; the audit log repeats it."""
    before = len(list(server.client().releases()))
    with pytest.raises(GateError, match=r"worst-slice.*overridden: ann") as refused:
        publish(server, FAILED)
    assert "--accept-override" in refused.value.hint
    with pytest.raises(GateError, match="did not pass"):
        publish(server, msgspec.structs.replace(FAILED, override=""), accepted_by="ben")
    assert len(list(server.client().releases())) == before
    view = publish(server, FAILED, accepted_by="ben")
    chain = server_lineage(server.client(), f"digits@{view.version}")
    (key_id,) = (link.facts["signed by key"] for link in chain.links if link.step == "release")
    expected = f"ann: the night camera needs it (accepted by ben with release key {key_id[:16]})"
    assert view.manifest.verdict.override == expected
    entries = [entry for entry in server.client().audit() if entry.action == "publish-overridden-release"]
    assert [(entry.subject, entry.detail) for entry in entries] == [(f"digits/{view.version}", expected)]


def test_a_release_that_passed_needs_no_acceptance_and_leads_to_its_devices(server: TestServer) -> None:
    """By model the newest, by version or alias the one named; nothing runs it yet."""
    view = publish(server, Verdict(passed=True, gates=()))
    server.client().set_alias("digits", "champion", view.version)
    for name in ("digits", f"digits@{view.version}", f"digits@v{view.version}", "digits@champion"):
        chain = server_lineage(server.client(), name)
        assert chain.version == view.version
        assert chain.links[-1].facts == {"running it": "0"}
    assert view.release_sha256 in "\n".join(lineage_lines(chain))
    with pytest.raises(NotFoundError):
        server_lineage(server.client(), "nothing")


def test_a_server_that_shows_another_manifest_than_was_signed_is_not_believed(server: TestServer) -> None:
    """The registry's word is held against the family's signed metadata."""
    from edgeferry.commands.lineage import signing_keys

    view = publish(server, Verdict(passed=True, gates=()))
    forged = msgspec.structs.replace(view, release_sha256="f" * 64)
    with pytest.raises(TrustError, match="expected f"):
        signing_keys(server.client(), forged)


def test_folders_give_their_own_chain(tmp_path: Path) -> None:
    """A candidate ends with its files, a bundle with its manifest; another folder is told so."""
    write_scored_project(tmp_path)
    candidate = folder_lineage(tmp_path / "candidates" / "a")
    assert [link.step for link in candidate.links] == ["data", "code", "training", "validation", "candidate"]
    bundle = folder_lineage(tmp_path / "release")
    content = (tmp_path / "release" / "release.json").read_bytes()
    assert bundle.links[-1].facts["manifest"] == hashlib.sha256(content).hexdigest()
    assert encode(bundle)
    with pytest.raises(NotFoundError, match="neither"):
        folder_lineage(tmp_path)


def test_runs_are_read_back_and_compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was logged is what is shown; the pages are for this machine only, and only once there are runs."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    project = write_test_project(tmp_path)
    with pytest.raises(NotFoundError):
        ui_command(project, 5001)
    for accuracy, epochs in ((0.5, 2), (0.75, 5)):
        with tracked_run(project, name="n") as run:
            run.log(params={"train.epochs": epochs}, metrics={"test.accuracy": accuracy})
    newest, oldest = (read_run(project, each.run_id) for each in list_runs(project))
    assert newest.ended_at is not None
    result = compare_runs(oldest, newest)
    assert [(each.name, each.first, each.second) for each in result.parameters] == [("train.epochs", "2", "5")]
    assert [(each.name, each.change) for each in result.metrics] == [("test.accuracy", 0.25)]
    command = ui_command(project, 5001)
    assert command[command.index("--host") + 1] == LOOPBACK == "127.0.0.1"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    with pytest.raises(ConflictError):
        ui_command(project, 5001)


def test_more_epochs_than_mlflow_takes_at_once_are_all_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each epoch's figures are at its number."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    epochs = range(1, MAX_METRICS + 2)
    project = write_test_project(tmp_path, trained=True)
    with tracked_run(project, name="long") as tracked:
        tracked.log_epochs([{"loss": 1.0 / epoch} for epoch in epochs])
        history = tracked.client.get_metric_history(tracked.run_id, "loss")
    assert {metric.step: metric.value for metric in history} == {epoch: 1.0 / epoch for epoch in epochs}
