"""`edgeferry ci`: everything that may stop a change, on few rows and epochs, as one list of checks.

    report = run_ci(project, out=Path("ci-report"), convert=hook, now=now, elapsed_s=perf_counter, progress=Silent())

Data are verified whole, the project's own tests run in a child, a short training is judged by all gates and made twice
with equal figures, and its candidate is converted. A check that fails does not stop those that can still be made.
Nothing of it is left in the project but `ci.json` in its state folder; candidates and runs are scratch.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from fleet_contract.codec import encode
from fleet_contract.errors import ConfigError
from fleet_files.durable import write_file
from trainer.ci.checks import Checks, CiReport, Outcome
from trainer.ci.junit import junit_xml
from trainer.ci.summary import summary_markdown
from trainer.ci.user_tests import SUITE as USER_SUITE
from trainer.ci.user_tests import run_user_tests
from trainer.pages.evaluation import EVALUATION_JSON, EvaluationRecord, plots
from trainer.pipeline import run
from trainer.project import Project
from trainer.records.lineage import git_revision
from trainer.sources.pinned import PinnedSource
from trainer.stages import ingest, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from trainer.data.dataset import Dataset
    from trainer.progress import Progress
    from trainer.records.candidate import CandidateResult

DATA_SUITE: Final = "data"
TRAIN_SUITE: Final = "training"
GATE_SUITE: Final = "gates"
CONVERT_SUITE: Final = "conversion"
REPORT_FILE: Final = "ci.json"
JUNIT_FILE: Final = "junit.xml"
SUMMARY_FILE: Final = "summary.md"


@dataclass(frozen=True, slots=True)
class ConvertedVariant:
    """A variant that the converter tried: whether it passed its gates, and what was measured or went wrong."""

    name: str
    passed: bool
    detail: str


if TYPE_CHECKING:
    Convert = Callable[[Path, Path], Sequence[ConvertedVariant]]
    """(candidate's folder, folder for the bundle) -> every variant; may raise an EdgeferryError."""


@dataclass(frozen=True, slots=True)
class ScratchProject(Project):
    """A project whose runs and checkpoints are kept apart from the user's."""

    scratch: Path

    @property
    def state_folder(self) -> Path:
        """A folder that goes away."""
        return self.scratch


def run_ci(
    project: Project,
    *,
    out: Path,
    convert: Convert,
    now: datetime,
    elapsed_s: Callable[[], float],
    progress: Progress,
) -> CiReport:
    """Runs all checks and writes `junit.xml`, `summary.md` and pictures to `out`; files there are replaced.

    Raises:
        StorageError: the reports cannot be written.
    """
    checks = Checks(elapsed_s)
    pictures: dict[str, tuple[str, str]] = {}
    with tempfile.TemporaryDirectory(prefix="edgeferry-ci-") as scratch:
        short = short_project(project, Path(scratch) / "state")
        sound = _check_data(checks, project, progress)
        _check_user_tests(checks, project, progress)
        made = _check_training(checks, short, Path(scratch), now, progress) if sound else None
        if made is None:
            checks.add(TRAIN_SUITE, "all that follows", Outcome.SKIPPED, "there is nothing to train on or to judge")
        else:
            pictures = plots(_evaluation(made))
            _check_conversion(checks, made, convert, Path(scratch), progress)
    report = CiReport(model=project.name, at=now, git_revision=git_revision(project.folder), checks=tuple(checks.found))
    write_reports(report, out, pictures)
    write_file(project.state_folder / REPORT_FILE, encode(report))
    return report


def short_project(project: Project, scratch: Path) -> ScratchProject:
    """The project with the epochs, rows and floor of `[ci]`."""
    settings, ci = project.settings, project.settings.ci
    replace = msgspec.structs.replace
    limit = min(filter(None, (ci.rows, settings.data.limit)), default=0)
    floor = settings.validate.min_accuracy if ci.min_accuracy is None else ci.min_accuracy
    short = replace(
        settings,
        data=replace(settings.data, limit=limit, snapshot=str(scratch.absolute() / "snapshot.json"), report=False),
        train=replace(settings.train, epochs=ci.epochs),
        validate=replace(settings.validate, min_accuracy=floor),
    )
    return ScratchProject(folder=project.folder, settings=short, scratch=scratch)


def _check_data(checks: Checks, project: Project, progress: Progress) -> bool:
    """Whether the data may be trained on."""
    progress.stage("data")
    with checks.step(DATA_SUITE, "a reviewed schema is there"):
        if not project.schema_path.is_file():
            raise ConfigError(
                f"{project.schema_path}: got no schema, expected the reviewed one in version control",
                hint="train once, review the schema that it writes, and commit it",
            )
    data: list[Dataset] = []
    pinned = (project.folder / project.settings.data.snapshot).is_file()
    name = "rows are the pinned snapshot" if pinned else "rows can be read (no snapshot is pinned)"
    with checks.step(DATA_SUITE, name):
        data.append(ingest(project, None, progress, PinnedSource(project, frozen=pinned)))
    if data and checks.found[0].outcome is Outcome.PASSED:
        with checks.step(DATA_SUITE, "all rows meet the schema"):
            for anomaly in verify(project, data[0], progress).anomalies:
                checks.add(DATA_SUITE, anomaly.kind, Outcome.PASSED, f"told, stops nothing: {anomaly}")
    return all(check.outcome is Outcome.PASSED for check in checks.found)


def _check_user_tests(checks: Checks, project: Project, progress: Progress) -> None:
    progress.stage("the project's tests")
    with checks.step(USER_SUITE, f"pytest {project.settings.ci.tests}"):
        found = run_user_tests(project)
        checks.found += found
        if not found:
            checks.add(USER_SUITE, "tests", Outcome.SKIPPED, f"none in {project.settings.ci.tests}/")


def _check_training(
    checks: Checks, project: ScratchProject, scratch: Path, now: datetime, progress: Progress
) -> CandidateResult | None:
    made: list[CandidateResult] = []
    name = f"{project.settings.train.epochs} epochs"
    with checks.step(TRAIN_SUITE, name):
        made.append(run(project, out=scratch / "first", now=now, progress=progress))
    if not made:
        return None
    for gate in made[0].candidate.verdict.gates:
        message = f"measured {gate.measured:.4f}, threshold {gate.threshold:.4f}: {gate.detail}"
        checks.hold(GATE_SUITE, gate.gate, holds=gate.passed, message=message)
    if project.settings.ci.twice:
        with checks.step(TRAIN_SUITE, "the same again"):
            again = run(project, out=scratch / "second", now=now, progress=progress)
            same = _evaluation(again) == _evaluation(made[0])
            message = (
                f"log loss {again.candidate.evaluation.log_loss!r} after {made[0].candidate.evaluation.log_loss!r}"
            )
            checks.hold(TRAIN_SUITE, "the second training gives the same figures", holds=same, message=message)
    return made[0]


def _evaluation(made: CandidateResult) -> EvaluationRecord:
    return msgspec.json.decode((made.folder / EVALUATION_JSON).read_bytes(), type=EvaluationRecord)


def _check_conversion(
    checks: Checks, made: CandidateResult, convert: Convert, scratch: Path, progress: Progress
) -> None:
    progress.stage("convert")
    with checks.step(CONVERT_SUITE, "convert"):
        for variant in convert(made.folder, scratch / "release"):
            checks.hold(CONVERT_SUITE, variant.name, holds=variant.passed, message=variant.detail)


def write_reports(report: CiReport, out: Path, pictures: Mapping[str, tuple[str, str]]) -> None:
    """Writes the reports; `pictures` are SVG and words by name.

    Raises:
        StorageError: they cannot be written.
    """
    named = {words: f"{name}.svg" for name, (_, words) in pictures.items()}
    for name, (svg, _) in pictures.items():
        write_file(out / f"{name}.svg", svg.encode())
    write_file(out / JUNIT_FILE, junit_xml(report))
    write_file(out / SUMMARY_FILE, summary_markdown(report, named).encode())
