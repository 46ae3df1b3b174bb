"""The workflows that `edgeferry init --ci` writes: what the forges ask of them, and their own steps, run as written."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml  # type: ignore[import-untyped]  # no stubs, and only tests need it

from tests.fakes.trainer_forge import INSTALL, TEMPLATE_FILES, github_runs, read_workflow
from trainer.ci.workflow import Forge

if TYPE_CHECKING:
    from collections.abc import Iterator

GITHUB_KEYS = {"name", "on", "permissions", "concurrency", "env", "jobs"}
GITHUB_JOB_KEYS = {"if", "needs", "runs-on", "environment", "timeout-minutes", "env", "steps"}
GITHUB_STEP_KEYS = {"name", "if", "uses", "with", "run", "env"}
GITLAB_KEYS = {"image", "variables", "cache", "stages", "check", "publish"}
GITLAB_JOB_KEYS = {"stage", "timeout", "rules", "script", "artifacts"}
SECRETS = ("EDGEFERRY_TOKEN", "EDGEFERRY_RELEASE_KEY")
ON_MAIN = "$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH"
PUBLISHING = ["train", "convert", "publish"]


@pytest.fixture(scope="module")
def github() -> dict[str, Any]:
    """GitHub's workflow."""
    return read_workflow(Forge.GITHUB)


@pytest.fixture(scope="module")
def gitlab() -> dict[str, Any]:
    """GitLab's pipeline."""
    return read_workflow(Forge.GITLAB)


def steps(workflow: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All steps of GitHub's jobs."""
    for job in workflow["jobs"].values():
        yield from job["steps"]


def commands(script: list[str]) -> list[str]:
    """The edgeferry commands of a script, by their first word."""
    words = [shlex.split(line, comments=True) for text in script for line in text.splitlines()]
    return [line[1] for line in words if line[:1] == ["edgeferry"]]


def test_github_knows_every_key(github: dict[str, Any]) -> None:
    """A key that is misspelt is passed over by nobody but us."""
    assert set(github) == GITHUB_KEYS
    for job in github["jobs"].values():
        assert set(job) <= GITHUB_JOB_KEYS
        assert {"runs-on", "timeout-minutes", "steps"} <= set(job)
    for step in steps(github):
        assert set(step) <= GITHUB_STEP_KEYS
        assert ("uses" in step) != ("run" in step)
        assert "@v" in step.get("uses", "@v")


def test_github_checks_changes_and_publishes_merges_only(github: dict[str, Any]) -> None:
    """A change may read the code and nothing else; a push to main publishes once its checks have passed."""
    assert set(github["on"]) == {"pull_request", "push"}
    assert github["on"]["push"] == {"branches": ["main"]}
    assert github["permissions"] == {"contents": "read"}
    check, publish = github["jobs"]["check"], github["jobs"]["publish"]
    assert "if" not in check
    assert publish["needs"] == "check"
    assert publish["if"].startswith("github.event_name == 'push' && ")
    assert publish["environment"] == "release"


def test_github_shows_secrets_to_the_step_that_publishes_and_to_no_other(github: dict[str, Any]) -> None:
    """Neither a change's code nor an installed package sees the key."""
    holders = [step for step in steps(github) if "secrets." in yaml.safe_dump(step)]
    assert [step["name"] for step in holders] == ["publish"]
    assert holders[0] in github["jobs"]["publish"]["steps"]
    assert yaml.safe_dump(github).count("secrets.") == len(SECRETS)
    assert all(f"secrets.{name} " in yaml.safe_dump(holders[0]) for name in SECRETS)


def test_github_caches_by_a_file_that_every_project_has(github: dict[str, Any]) -> None:
    """setup-python fails where its cache finds no file to go by."""
    caches = [step["with"] for step in steps(github) if "cache" in step.get("with", {})]
    assert len(caches) == len(github["jobs"])
    assert {each["cache-dependency-path"] for each in caches} == {".github/workflows/edgeferry.yml"}


def test_github_keeps_the_report_of_checks_that_failed(github: dict[str, Any]) -> None:
    """The artifact and the page of the run."""
    *_, shown, kept = github["jobs"]["check"]["steps"]
    assert shown["if"] == kept["if"] == "always()"
    assert kept["with"]["path"] == "ci-report"
    assert "$GITHUB_STEP_SUMMARY" in shown["run"]


def test_gitlab_knows_every_key(gitlab: dict[str, Any]) -> None:
    """Every job has a stage that is declared, and rules."""
    assert set(gitlab) == GITLAB_KEYS
    for name in ("check", "publish"):
        assert set(gitlab[name]) == GITLAB_JOB_KEYS
        assert gitlab[name]["stage"] in gitlab["stages"]
    assert gitlab["cache"]["paths"] == [".pip"]
    assert gitlab["variables"]["PIP_CACHE_DIR"] == "$CI_PROJECT_DIR/.pip"


def test_gitlab_checks_changes_and_publishes_merges_only(gitlab: dict[str, Any]) -> None:
    """The stage after a stage that failed does not run."""
    assert gitlab["stages"] == ["check", "publish"]
    rules = {name: [rule["if"] for rule in gitlab[name]["rules"]] for name in ("check", "publish")}
    assert rules["check"] == ['$CI_PIPELINE_SOURCE == "merge_request_event"', ON_MAIN]
    assert rules["publish"] == [f"{ON_MAIN} && $EDGEFERRY_SERVER"]


def test_gitlab_shows_tests_and_report_in_the_merge_request(gitlab: dict[str, Any]) -> None:
    """JUnit for the list of tests, the folder by name, also of checks that failed."""
    kept = gitlab["check"]["artifacts"]
    assert kept["reports"] == {"junit": "ci-report/junit.xml"}
    assert (kept["when"], kept["expose_as"], kept["paths"]) == ("always", "edgeferry ci", ["ci-report/"])


def test_both_forges_run_the_same_commands(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    """What one proves, the other does; both begin with the same installation."""
    for job, expected in (("check", ["ci"]), ("publish", PUBLISHING)):
        ours, theirs = github_runs(github, job), gitlab[job]["script"]
        assert commands(ours) == commands(theirs) == expected
        assert [line for line in ours if INSTALL in line] == [line for line in theirs if INSTALL in line]
        assert len(theirs[:2]) == sum(INSTALL in line for line in theirs)


def test_every_script_is_one_that_a_shell_reads(github: dict[str, Any], gitlab: dict[str, Any]) -> None:
    """Quotes and blocks are closed."""
    scripts = [step["run"] for step in steps(github) if "run" in step]
    scripts += [line for job in ("check", "publish") for line in gitlab[job]["script"]]
    for script in scripts:
        subprocess.run(["bash", "-n", "-c", script], check=True)  # noqa: S607 -- whichever bash there is


def test_what_a_template_needs_besides_is_installed_by_the_workflow() -> None:
    """A template whose data come with another package names it, pinned, where the workflows look."""
    for path in TEMPLATE_FILES.glob("*/requirements.txt"):
        pins = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert pins
        assert all("==" in pin for pin in pins)
        assert "requirements.txt" in path.with_name("README.md").read_text()
