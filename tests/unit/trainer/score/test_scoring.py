"""The rubric's arithmetic, and that no point is given without what it stands for."""

from __future__ import annotations

import dataclasses
from datetime import date
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from fleet_contract.api import SampleView
from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError
from tests.fakes.contract_documents import NOON
from tests.fakes.trainer_score import GATES, write_candidate, write_scored_project
from trainer.ci.checks import Check, CiReport, Outcome
from trainer.score.evidence import Evidence, Statement, gather, read_statements
from trainer.score.page import score_page
from trainer.score.rubric import RUBRIC, TEST_IDS
from trainer.score.scoring import Section, band, score_project
from trainer.score.searched import SearchMade
from trainer.score.server import OnlineAccuracy, ServerFacts, online_accuracies
from trainer.tuning.importance import PartImportance

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.score.scoring import ScoreCard

FLEET = ServerFacts(
    url="http://fleet",
    released_versions={1: 0.9, 2: 0.95},
    running_devices=3,
    rollouts=2,
    canaried_rollouts=2,
    rolled_back=1,
    windows=40,
    invalid_inferences=0,
    online=(
        OnlineAccuracy(version=1, sample_count=50, accuracy=0.88),
        OnlineAccuracy(version=2, sample_count=50, accuracy=0.93),
    ),
    retrain_requests=1,
    alerts={},
)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    """Of a project after training and conversion, outside git, without a server."""
    return gather(write_scored_project(tmp_path), known_tests=TEST_IDS)


def points(evidence: Evidence) -> dict[str, float]:
    """Points by test."""
    return {test.id: test.points for test in card(evidence).tests}


def card(evidence: Evidence) -> ScoreCard:
    """The whole card."""
    return score_project(evidence, RUBRIC)


def test_the_rubric_has_four_sections_of_seven() -> None:
    """28 tests, each with an id of its own."""
    assert [len(tests) for tests in RUBRIC.values()] == [7, 7, 7, 7]
    assert len(TEST_IDS) == 28


def test_the_score_is_the_least_section_and_every_point_has_evidence(evidence: Evidence) -> None:
    """Nothing is made up for elsewhere; whatever is not whole says what would raise it."""
    result = card(evidence)
    assert result.score == min(result.sections.values())
    assert sum(result.sections.values()) == sum(test.points for test in result.tests)
    for test in result.tests:
        assert test.points in {0.0, 0.5, 1.0}
        assert bool(test.evidence) or test.points == 0.0, test.id
        assert bool(test.to_raise) == (test.points < 1.0), test.id


def test_training_and_conversion_alone_reach_these_points(evidence: Evidence) -> None:
    """Outside git and without a search, CI or devices the model section holds the score down."""
    assert card(evidence).sections == {
        Section.DATA: 4.0,
        Section.MODEL: 2.5,
        Section.INFRASTRUCTURE: 3.0,
        Section.MONITORING: 4.0,
    }


def test_an_empty_project_has_next_to_nothing(evidence: Evidence) -> None:
    """A schema that nothing was trained under is half a point, and so is a policy that stopped nobody yet."""
    bare = dataclasses.replace(evidence, candidates=(), bundles=())
    assert {test: given for test, given in points(bare).items() if given} == {"data-1": 0.5, "data-4": 0.5}
    assert card(bare).score == 0.0


@pytest.mark.parametrize(
    ("gate", "test"),
    [
        ("finite-scores", "monitor-5"),
        ("min-gain-over-simple-model", "model-5"),
        ("worst-slice", "model-6"),
    ],
)
def test_a_gate_that_failed_gives_no_point(tmp_path: Path, evidence: Evidence, gate: str, test: str) -> None:
    """Being asked is not being good."""
    failed = tuple(structs.replace(each, passed=each.gate != gate) for each in GATES)
    assert evidence.candidate is not None
    write_candidate(tmp_path / "candidates" / "b", evidence.candidate.candidate.lineage, gates=failed)
    (tmp_path / "candidates" / "a" / "candidate.json").unlink()
    assert points(evidence)[test] > 0.0
    assert points(gather(evidence.project, known_tests=TEST_IDS))[test] == 0.0


def test_a_schema_and_a_pin_count_half_outside_git(evidence: Evidence) -> None:
    """What nobody sees change is not reviewed, and tells nobody."""
    committed = dataclasses.replace(evidence, tracked=frozenset({"schema.json", "snapshot.json"}))
    for test in ("data-1", "monitor-1"):
        assert (points(evidence)[test], points(committed)[test]) == (0.5, 1.0)


def test_a_schema_that_changed_since_the_training_counts_half(evidence: Evidence) -> None:
    """The points are for what is enforced now."""
    evidence = dataclasses.replace(evidence, tracked=frozenset({"schema.json"}))
    assert points(evidence)["data-1"] == 1.0
    assert points(dataclasses.replace(evidence, schema_sha256="9" * 64))["data-1"] == 0.5
    assert points(dataclasses.replace(evidence, schema_sha256=""))["data-1"] == 0.0


def test_a_green_ci_run_raises_infrastructure_and_a_red_one_does_not(evidence: Evidence) -> None:
    """Training twice, the project's tests and the conversion count where they passed."""
    names = (
        ("training", "the second training gives the same figures"),
        ("the project's tests", "pytest tests"),
        ("the project's tests", "t::one"),
        ("conversion", "convert"),
    )
    for outcome, expected in ((Outcome.PASSED, 1.0), (Outcome.FAILED, 0.5)):
        checks = tuple(Check(suite=suite, name=name, outcome=outcome) for suite, name in names)
        found = points(dataclasses.replace(evidence, ci=CiReport(model="rows", at=NOON, checks=checks)))
        assert {found[test] for test in ("infra-1", "infra-2", "infra-3", "data-7")} == {expected}


def test_a_ci_run_on_another_revision_is_no_evidence(evidence: Evidence) -> None:
    """Green was what is no longer there."""
    project = evidence.project
    project.state_folder.mkdir()
    for revision, kept in (("", True), ("abc", False)):
        report = CiReport(model="rows", at=NOON, git_revision=revision, checks=())
        (project.state_folder / "ci.json").write_bytes(encode(report))
        assert bool(gather(project, known_tests=TEST_IDS).ci) is kept


def test_a_part_of_the_input_that_brings_nothing_costs_half_a_point(evidence: Evidence) -> None:
    """Measured is not beneficial; one of them is named."""
    kept = evidence.candidate
    assert kept is not None
    assert kept.evaluation is not None
    idle = (*kept.evaluation.importances, PartImportance(part="feature 1", accuracy_drop=0.0))
    changed = dataclasses.replace(kept, evaluation=structs.replace(kept.evaluation, importances=idle))
    result = {test.id: test for test in card(dataclasses.replace(evidence, candidates=(changed,))).tests}["data-2"]
    assert result.points == 0.5
    assert "1 bring nothing, among them feature 1" in result.evidence[0]


def test_a_policy_that_refuses_the_present_source_counts_half(evidence: Evidence) -> None:
    """What there is was trained under another policy."""
    assert points(evidence)["data-4"] == 1.0
    policy = structs.replace(evidence.project.settings.data.policy, sources=("csv:*",))
    assert points(with_settings(evidence, "data", policy=policy))["data-4"] == 0.5


@pytest.mark.parametrize("limit", ["max_latency_p50_ms", "max_ram_mb"])
def test_an_unlimited_cost_counts_half(evidence: Evidence, limit: str) -> None:
    """The size of a file is not what an inference costs."""
    gates = structs.replace(evidence.project.settings.convert.gates, **{limit: 0.0})
    assert points(evidence)["data-3"] == 1.0
    assert points(with_settings(evidence, "convert", gates=gates))["data-3"] == 0.5


def with_settings(evidence: Evidence, section: str, **changed: object) -> Evidence:
    """The evidence with other values in one section of the settings."""
    project = evidence.project
    replaced = structs.replace(getattr(project.settings, section), **changed)
    settings = structs.replace(project.settings, **{section: replaced})
    return dataclasses.replace(evidence, project=dataclasses.replace(project, settings=settings))


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        (SearchMade(study="s", finished=10, left_out=(), heeded=True), 1.0),
        (SearchMade(study="s", finished=9, left_out=(), heeded=True), 0.5),
        (SearchMade(study="s", finished=10, left_out=("model.units",), heeded=True), 0.5),
        (SearchMade(study="s", finished=10, left_out=(), heeded=False), 0.5),
        (SearchMade(study="s", finished=0, left_out=(), heeded=False), 0.0),
        (None, 0.0),
    ],
)
def test_a_search_counts_when_it_is_long_whole_and_heeded(
    evidence: Evidence, search: SearchMade | None, expected: float
) -> None:
    """Ten trials over all hyperparameters, with the best values in force."""
    assert points(dataclasses.replace(evidence, search=search))["model-3"] == expected


@pytest.mark.parametrize(
    ("source", "expected"), [("npz:data.npz", 0.5), ("builtin:*", 0.0)], ids=["its data", "other data"]
)
def test_a_statement_about_data_holds_for_these_data_only(evidence: Evidence, source: str, expected: float) -> None:
    """What came with a template says nothing of data that came later."""
    (evidence.project.folder / "score.toml").write_text(
        f'[[statement]]\ntest = "data-5"\ndata = "{source}"\nby = "A"\non = 2026-01-01\nwhat = "public"\n'
    )
    assert points(gather(evidence.project, known_tests=TEST_IDS))["data-5"] == expected


def test_devices_that_are_seen_raise_monitoring_and_canaries(evidence: Evidence) -> None:
    """With a fleet that serves two labelled versions all of monitoring is at work."""
    seen = dataclasses.replace(evidence, server=FLEET)
    assert card(seen).sections[Section.MONITORING] == 6.5
    found = points(seen)
    assert [found[test] for test in ("model-2", "infra-6", "infra-7")] == [1.0, 1.0, 1.0]


def test_a_statement_lifts_to_half_and_never_lowers(evidence: Evidence) -> None:
    """Name, date and words become the evidence."""
    stated = tuple(
        Statement(test=test, by="Ada", on=date(2026, 11, 23), what="looked at it") for test in ("data-5", "data-1")
    )
    evidence = dataclasses.replace(evidence, statements=stated, tracked=frozenset({"schema.json"}))
    result = {test.id: test for test in card(evidence).tests}
    assert result["data-5"].points == 0.5
    assert result["data-5"].evidence == ("score.toml: Ada, 2026-11-23: looked at it",)
    assert result["data-1"].points == 1.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[statement]]\ntest = "data-9"\nby = "A"\non = 2026-01-01\nwhat = "x"', "got 'data-9'"),
        ('[[statement]]\ntest = "data-5"\nby = " "\non = 2026-01-01\nwhat = "x"', "empty `by`"),
        ('[[statement]]\ntest = "data-5"\nby = "A"\nwhat = "x"', "on"),
        ('[[statement]]\ntest = "data-5"\nby = "A"\non = 2026-01-01\nwho = "x"', "unknown key 'who'"),
    ],
)
def test_a_statement_without_test_name_or_date_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """A typo gives no points and is not passed over."""
    (tmp_path / "score.toml").write_text(text)
    with pytest.raises(ConfigError, match=words):
        read_statements(tmp_path / "score.toml", TEST_IDS)


def test_online_accuracy_is_by_version() -> None:
    """Labels against what the device said."""

    def sample(version: int, predicted: str, label: str) -> SampleView:
        return SampleView(
            id="x",
            device_id="d",
            model="eye",
            version=version,
            captured_at=NOON,
            predicted=predicted,
            confidence=0.5,
            chosen="random",
            sha256="0" * 64,
            dtype="uint8",
            shape=(2,),
            label=label,
        )

    found = online_accuracies([sample(2, "a", "a"), sample(1, "a", "b"), sample(2, "a", "b")])
    assert [(each.version, each.sample_count, each.accuracy) for each in found] == [(1, 1, 0.0), (2, 2, 0.5)]


@pytest.mark.parametrize(("score", "words"), [(0.0, "research"), (1.0, "holes"), (4.0, "strong"), (5.5, "exceptional")])
def test_bands_are_the_rubrics(score: float, words: str) -> None:
    """Above 3 and up to 5 is strong, above 5 exceptional."""
    assert words in band(score)


def test_the_page_shows_every_test_and_escapes(evidence: Evidence) -> None:
    """What people state cannot smuggle in HTML."""
    stated = (Statement(test="data-5", by="<script>", on=date(2026, 1, 1), what="x"),)
    html = score_page(card(dataclasses.replace(evidence, statements=stated)))
    assert all(test in html for test in TEST_IDS)
    assert "<script>" not in html
