"""Every template of `edgeferry init` works as it is: checked, trained, converted, scored, served by a device's engine.

All commands run in child processes, as a user runs them; each template is trained once for all tests of this file.
The image template learns the small digits here; what it reaches on Fashion-MNIST is measured by hand.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import msgspec
import pytest

from converter.bundle import Bundle, load_bundle
from device_agent.host.golden import load_golden, replay
from device_agent.host.hosted import HostedRelease
from device_agent.host.loading import load_engine
from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.errors import MissingExtraError
from fleet_contract.release import MAX_RELEASE_BYTES
from tests.fakes.trainer_forge import commit_all, git, github_runs, read_workflow, run_steps
from trainer.ci.checks import CiReport
from trainer.ci.workflow import Forge
from trainer.project import load_project
from trainer.scaffold import TEMPLATES, write_project
from trainer.sources.bundled_motions import motion_files

if TYPE_CHECKING:
    from pathlib import Path

STATED_ACCURACY = {"image": 0.8, "tabular": 0.93, "timeseries": 0.9}
RECIPES = ["tflite-f32", "tflite-int8", "onnx-f32"]
SUITES = ["data", "the project's tests", "training", "gates", "conversion"]
CHILD = """
import shlex, sys
from edgeferry.cli import main
for line in sys.argv[1:]:
    sys.argv = ["edgeferry", *shlex.split(line)]
    try:
        main()
    except SystemExit as end:
        if end.code:
            raise
"""
RESHAPING = """transforms = [
  { kind = "impute", strategy = "median", indicator = true, columns = [0] },
  { kind = "select", columns = [6, 3, 4, 5] },
  { kind = "difference" },
  { kind = "spectrum" },
  { kind = "log1p" },
  { kind = "min-max" },
]"""


@dataclass(frozen=True, slots=True)
class Made:
    """A template's repository, and a clone of it in which its own workflow checked, trained and converted."""

    template: str
    origin: Path
    clone: Path
    page: str

    @property
    def candidate(self) -> Candidate:
        """What the trainer wrote."""
        return decode((self.clone / "candidate" / CANDIDATE_FILE).read_bytes(), Candidate, max_bytes=MAX_RELEASE_BYTES)

    @property
    def report(self) -> CiReport:
        """What CI found."""
        return decode((self.clone / ".edgeferry" / "ci.json").read_bytes(), CiReport, max_bytes=MAX_RELEASE_BYTES)


@pytest.fixture(scope="module", params=TEMPLATES)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """What a user does: a project, a training, a conversion, a commit of schema and pin; then the forge's check job."""
    template = str(request.param)
    require_data(template)
    folder = tmp_path_factory.mktemp(template)
    origin, clone = folder / "origin", folder / "clone"
    edgeferry(f"init origin --template {template} --ci github", cwd=folder)
    if template == "image":  # the small set of images that it falls back to, so that this is quick
        settings = origin / "edgeferry.toml"
        settings.write_text(settings.read_text().replace("builtin:auto", "builtin:digits"))
    commit_all(origin, f"Begin with the {template} template")
    edgeferry("train --out candidate", "convert candidate --out release", cwd=origin)
    commit_all(origin, "Keep the reviewed schema and the pin")
    git(folder, "clone", "-q", "origin", "clone")
    page = run_steps(clone, github_runs(read_workflow(Forge.GITHUB), "check"), folder / "bin")
    for kept in ("candidate", "release"):
        shutil.copytree(origin / kept, clone / kept)
    return Made(template, origin, clone, page)


def edgeferry(*commands: str, cwd: Path) -> str:
    """What commands print, one after the other in one child; its standard error is in the message of a failure."""
    env = {key: value for key, value in os.environ.items() if key not in {"MLFLOW_TRACKING_URI", "PYTEST_ADDOPTS"}}
    done = subprocess.run(
        [sys.executable, "-c", CHILD, *commands],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def require_data(template: str) -> None:
    """Skips where the data of a template are not installed."""
    if template == "timeseries":
        try:
            motion_files()
        except MissingExtraError as error:
            pytest.skip(error.hint)


def require_served(bundle: Bundle) -> None:
    """Each variant runs in a model host's own engine and gives the golden scores within its tolerance."""
    for variant in bundle.manifest.variants:
        release = HostedRelease(bundle.manifest, "0" * 64, variant.id, bundle.folder / "blobs")
        golden = load_golden(release.blob_path(bundle.manifest.golden), bundle.manifest)
        assert replay(load_engine(release, threads=1), golden).failure(variant) == ""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_template_reaches_what_its_readme_states(made: Made) -> None:
    """On real data, with all gates passed."""
    stated = STATED_ACCURACY[made.template]
    assert f"{stated:.2f}" in (made.origin / "README.md").read_text()
    assert made.candidate.verdict.passed
    assert load_project(made.origin).settings.validate.min_accuracy == stated
    assert made.candidate.evaluation.overall.accuracy >= stated


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_template_is_served_by_a_device_in_every_variant(made: Made) -> None:
    """Three recipes, each proven and loaded by the model host."""
    bundle = load_bundle(made.clone / "release")
    assert [variant.id for variant in bundle.manifest.variants] == RECIPES
    require_served(bundle)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_template_has_a_score_of_at_least_four(made: Made) -> None:
    """In every section, from its own files, its own CI run and its own release; no server, review or search yet."""
    card = msgspec.json.decode(edgeferry("score --at-least 4 --json", cwd=made.clone))
    assert min(card["sections"].values()) == card["score"] >= 4.0
    unearned = {test["id"] for test in card["tests"] if test["points"] == 0.0}
    assert {"model-2", "infra-7", "monitor-4"} <= unearned


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_job_of_a_fresh_clone_runs_all_checks(made: Made) -> None:
    """Data as pinned, the user's tests, a training twice, gates, conversion; green, on the clone's revision."""
    report = made.report
    assert report.failed == []
    assert list(dict.fromkeys(check.suite for check in report.checks)) == SUITES
    names = {check.name for check in report.checks}
    assert {
        "rows are the pinned snapshot",
        "the second training gives the same figures",
        "min-accuracy",
        *RECIPES,
    } <= names
    assert "tests.test_inputs::test_one_row_can_be_followed_step_by_step" in names
    assert report.git_revision == git(made.origin, "rev-parse", "HEAD").strip()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_check_job_leaves_reports_and_nothing_else(made: Made) -> None:
    """JUnit with every check, a summary with its pictures, a page of the run without; git sees no change."""
    out = made.clone / "ci-report"
    cases = ET.fromstring((out / "junit.xml").read_bytes()).iter("testcase")  # noqa: S314 -- our own
    assert len(list(cases)) == len(made.report.checks)
    summary = (out / "summary.md").read_text()
    assert ": passed\n" in summary
    for picture in ("reliability", "confusion", "slices", "importance"):
        assert f"]({picture}.svg)" in summary
        assert (out / f"{picture}.svg").read_text().startswith("<svg")
    assert [line for line in summary.splitlines() if not line.startswith("![")] == made.page.splitlines()
    assert git(made.clone, "status", "--porcelain") == ""
    assert [path.name for path in (made.clone / ".edgeferry").iterdir()] == ["ci.json"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_model_whose_input_is_not_the_raw_one_goes_all_the_way(tmp_path: Path) -> None:
    """Steps that change every axis: the network, its variants and the device agree on (20, 4) made of (40, 6)."""
    require_data("timeseries")
    write_project(tmp_path, template="timeseries", name="spectra")
    settings = tmp_path / "edgeferry.toml"
    settings.write_text(quick(settings.read_text()))
    edgeferry("train --out candidate", "convert candidate --out release", cwd=tmp_path)
    bundle = load_bundle(tmp_path / "release")
    assert bundle.manifest.inputs[0].shape == (40, 6)
    assert {variant.input.shape for variant in bundle.manifest.variants} == {(20, 4)}
    require_served(bundle)


def quick(text: str) -> str:
    """The settings with other transforms, four epochs, and no gate that those could not pass."""
    for first, last, instead in (
        ("transforms = [", "\n\n[model]", RESHAPING),
        ("[validate]", "\n[convert]\n", "[validate]\nmin_accuracy = 0.0\nmin_gain_over_baseline = 0.0\n"),
        ("[convert.gates]", "", "[convert.gates]\nmax_accuracy_drop = 0.2\nmin_top1_agreement = 0.7\n"),
    ):
        begin = text.index(first)
        end = text.index(last, begin) if last else len(text)
        text = text[:begin] + instead + text[end:]
    return text.replace("epochs = 60", "epochs = 4")
