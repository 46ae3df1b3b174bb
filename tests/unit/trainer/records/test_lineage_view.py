"""The chain from data to devices, and two runs side by side."""

from __future__ import annotations

import pytest
from msgspec import structs

from fleet_contract.api import DeviceView, ReleaseView, RolloutView, StageView
from fleet_contract.deployment import DeploymentState
from fleet_contract.errors import NotFoundError
from fleet_contract.messages import InstalledRelease, SlotReport
from fleet_contract.release import GateResult, Verdict
from fleet_contract.rollout import RolloutState, StagePlan, StageState
from tests.fakes.contract_documents import NOON, manifest
from trainer.records.lineage_view import Link, bundle_lineage, release_lineage
from trainer.records.run_comparison import compare_runs, find_run
from trainer.records.tracking import RunRecord, RunSummary


def facts(links: tuple[Link, ...], step: str) -> dict[str, str]:
    """The facts of one step."""
    return next(link.facts for link in links if link.step == step)


def device(name: str, version: int) -> DeviceView:
    """A device that runs a version of `eye`."""
    active = InstalledRelease(model="eye", version=version, variant="tflite-f32", release_sha256="1" * 64)
    slot = SlotReport(slot="main", deployment_id="d", state=DeploymentState.COMMITTED, since=NOON, active=active)
    return DeviceView(device_id=name, online=True, slots=(slot,))


def rollout(version: int) -> RolloutView:
    """A rollout of a version of `eye`."""
    stage = StageView(name="canary", state=StageState.PASSED, plan=StagePlan(name="canary", count=1), device_count=1)
    return RolloutView(
        id=f"r{version}",
        model="eye",
        version=version,
        slot="main",
        state=RolloutState.COMPLETED,
        created_at=NOON,
        created_by="ann",
        stages=(stage,),
    )


VIEW = ReleaseView(
    model="eye",
    version=2,
    release_sha256="1" * 64,
    published_at=NOON,
    published_by="ann",
    aliases=("champion",),
    manifest=manifest(version=2),
)


def test_a_release_leads_from_its_data_to_the_devices_that_run_it_and_no_others() -> None:
    """Rollouts and devices of other versions are not part of the chain."""
    view = release_lineage(
        VIEW, key_ids=["k1"], rollouts=[rollout(1), rollout(2)], devices=[device("a", 1), device("b", 2)]
    )
    steps = [link.step for link in view.links]
    assert steps == ["data", "code", "training", "validation", "variant tflite-f32", "release", "rollout r2", "devices"]
    assert facts(view.links, "data")["snapshot"] == "0" * 64
    assert facts(view.links, "release")["signed by key"] == "k1"
    assert facts(view.links, "rollout r2")["stages"] == "canary passed"
    assert facts(view.links, "devices") == {"running it": "1", "b": "tflite-f32"}


def test_a_failed_verdict_names_its_gates_and_who_overrode_it() -> None:
    """Nobody reads an overridden release as one that passed."""
    failed = GateResult(gate="worst-slice", passed=False, measured=0.1, threshold=0.5)
    verdict = Verdict(passed=False, gates=(failed,), override="ann: it is a demo")
    shown = facts(bundle_lineage(structs.replace(manifest(), verdict=verdict), "2" * 64).links, "validation")
    assert shown["verdict"] == "FAILED: worst-slice"
    assert shown["override"] == "ann: it is a demo"


def record(run_id: str, accuracy: float | None, **params: str) -> RunRecord:
    """A run with parameters."""
    metrics = {} if accuracy is None else {"test.accuracy": accuracy}
    return RunRecord(
        run_id=run_id,
        name=run_id,
        started_at=NOON,
        status="FINISHED",
        params=params,
        metrics=metrics,
        tags={"verdict": "passed", "mlflow.user": run_id},
    )


def test_a_comparison_shows_what_differs_and_every_figure() -> None:
    """Equal parameters are counted, MLflow's own tags left out, a missing figure has no change."""
    result = compare_runs(record("a", 0.5, epochs="2", seed="0"), record("b", 0.75, epochs="5", seed="0"))
    assert [(each.name, each.first, each.second) for each in result.parameters] == [("epochs", "2", "5")]
    assert result.same_parameters == 2
    assert result.metrics[0].change == 0.25
    assert compare_runs(record("a", 0.5), record("b", None)).metrics[0].change is None


def test_runs_are_found_by_the_start_of_their_id_or_by_age() -> None:
    """Two that begin alike, or none, are an error."""
    runs = [RunSummary(run_id=name, name=name, started_at=NOON, status="FINISHED") for name in ("abc1", "abd2")]
    assert find_run(runs, "abd") == "abd2"
    assert find_run(runs, "latest") == "abc1"
    assert find_run(runs, "latest~1") == "abd2"
    for name in ("ab", "x", "latest~2", "latest~x"):
        with pytest.raises(NotFoundError):
            find_run(runs, name)
