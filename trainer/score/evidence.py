"""What there is to judge a project by: its files, candidates, bundles, last CI run, search, statements, and server."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from fleet_contract.candidate import CANDIDATE_FILE, Candidate
from fleet_contract.codec import decode
from fleet_contract.errors import ConfigError, ContractError, DataError
from fleet_contract.release import MAX_RELEASE_BYTES, ReleaseManifest, decode_release
from trainer.ci.checks import CiReport
from trainer.ci.running import REPORT_FILE
from trainer.ci.workflow import WORKFLOW_FILES
from trainer.data.schema import read_schema, schema_sha256
from trainer.pages.evaluation import EVALUATION_JSON, EvaluationRecord
from trainer.records.lineage import git_revision, tracked_files
from trainer.score.history import review_of
from trainer.score.searched import search_made
from trainer.strict_toml import read_strict

if TYPE_CHECKING:
    from pathlib import Path

    from trainer.project import Project
    from trainer.score.searched import SearchMade
    from trainer.score.server import ServerFacts

STATEMENTS_FILE: Final = "score.toml"
MAX_FOLDERS: Final = 200


class Statement(Struct, frozen=True, kw_only=True):
    """`[[statement]]` of score.toml: who did a test of the rubric by hand, when, and what they found.

    `data` is a pattern of the data source that it is about; with another source it says nothing.
    """

    test: str
    by: str
    on: date
    what: str
    data: str = "*"


class Statements(Struct, frozen=True, kw_only=True):
    """The whole of score.toml."""

    statement: tuple[Statement, ...] = ()


@dataclass(frozen=True, slots=True)
class KeptCandidate:
    """A candidate on disk; `evaluation` is None for one of an older edgeferry."""

    folder: Path
    candidate: Candidate
    evaluation: EvaluationRecord | None


@dataclass(frozen=True, slots=True)
class KeptBundle:
    """A bundle on disk; `float_accuracy` is what the converter measured of the saved model, None if it did not."""

    folder: Path
    manifest: ReleaseManifest
    float_accuracy: float | None


@dataclass(frozen=True, slots=True)
class Evidence:
    """Everything at once, newest first; `server` is None where none was asked.

    `ci` is the last CI run if it was on the revision that is checked out now, `review` the trace of one in git.
    """

    project: Project
    schema_sha256: str
    candidates: tuple[KeptCandidate, ...]
    bundles: tuple[KeptBundle, ...]
    ci: CiReport | None
    tracked: frozenset[str]
    workflow: str
    review: str
    search: SearchMade | None
    statements: tuple[Statement, ...]
    server: ServerFacts | None = None

    @property
    def candidate(self) -> KeptCandidate | None:
        """The newest."""
        return self.candidates[0] if self.candidates else None

    @property
    def bundle(self) -> KeptBundle | None:
        """The newest."""
        return self.bundles[0] if self.bundles else None


def gather(project: Project, *, known_tests: frozenset[str], server: ServerFacts | None = None) -> Evidence:
    """The evidence in the project's folder.

    Raises:
        ConfigError: the schema or score.toml is unreadable, or a statement names no test.
        DataError: a candidate or bundle is malformed.
        MissingExtraError, UnreachableError: the study of a search cannot be read.
    """
    schema = read_schema(project.schema_path)
    tracked = tracked_files(project.folder)
    workflows = [file for file in WORKFLOW_FILES.values() if file in tracked]
    return Evidence(
        project=project,
        schema_sha256=schema_sha256(schema) if schema else "",
        candidates=_candidates(project),
        bundles=_bundles(project),
        ci=_ci(project),
        tracked=tracked,
        workflow=workflows[0] if workflows else "",
        review=review_of(project),
        search=search_made(project),
        statements=_statements(project, known_tests),
        server=server,
    )


def _statements(project: Project, known_tests: frozenset[str]) -> tuple[Statement, ...]:
    """Those about the project's present data."""
    stated = read_statements(project.folder / STATEMENTS_FILE, known_tests)
    return tuple(each for each in stated if fnmatchcase(project.settings.data.source, each.data))


def read_statements(path: Path, known_tests: frozenset[str]) -> tuple[Statement, ...]:
    """What people state, from `path`; none where there is no such file.

    Raises:
        ConfigError: it is malformed, or names a test that the rubric does not have.
    """
    if not path.exists():
        return ()
    stated = read_strict(path, Statements).statement
    for each in stated:
        if each.test not in known_tests:
            raise ConfigError(f"{path}: test: got {each.test!r}, expected one of {', '.join(sorted(known_tests))}")
        if not each.by.strip() or not each.what.strip():
            raise ConfigError(f"{path}: {each.test}: got an empty `by` or `what`, expected who and what")
    return stated


def _candidates(project: Project) -> tuple[KeptCandidate, ...]:
    found = [_candidate(path) for path in _files(project, CANDIDATE_FILE)]
    own = [each for each in found if each.candidate.model == project.name]
    return tuple(sorted(own, key=lambda each: each.candidate.created_at, reverse=True))


def _candidate(path: Path) -> KeptCandidate:
    beside = path.with_name(EVALUATION_JSON)
    try:
        candidate = decode(path.read_bytes(), Candidate, max_bytes=MAX_RELEASE_BYTES)
        record = msgspec.json.decode(beside.read_bytes(), type=EvaluationRecord) if beside.is_file() else None
    except (ContractError, msgspec.DecodeError, OSError) as error:
        raise DataError(f"{path.parent}: not a whole candidate: {error}", hint="remove it, or make it again") from error
    return KeptCandidate(path.parent, candidate, record)


def _bundles(project: Project) -> tuple[KeptBundle, ...]:
    found = [_bundle(path) for path in _files(project, "release.json")]
    own = [each for each in found if each.manifest.model == project.name]
    return tuple(sorted(own, key=lambda each: each.manifest.created_at, reverse=True))


class _Report(Struct):
    """The one figure of the converter's report that counts here."""

    float_accuracy: float | None = None


def _bundle(path: Path) -> KeptBundle:
    report = path.with_name("report.json")
    try:
        manifest = decode_release(path.read_bytes())
        accuracy = msgspec.json.decode(report.read_bytes(), type=_Report).float_accuracy if report.is_file() else None
    except (ContractError, msgspec.DecodeError, OSError) as error:
        raise DataError(f"{path.parent}: not a whole bundle: {error}", hint="remove it, or make it again") from error
    return KeptBundle(path.parent, manifest, accuracy)


def _files(project: Project, name: str) -> list[Path]:
    """Files of that name in the project's own folders, up to two deep."""
    found = [*project.folder.glob(f"*/{name}"), *project.folder.glob(f"*/*/{name}")]
    return sorted((path for path in found if ".edgeferry" not in path.parts), reverse=True)[:MAX_FOLDERS]


def _ci(project: Project) -> CiReport | None:
    path = project.state_folder / REPORT_FILE
    if not path.is_file():
        return None
    report = decode(path.read_bytes(), CiReport, max_bytes=MAX_RELEASE_BYTES)
    return report if report.git_revision == git_revision(project.folder) else None
