"""The ML Test Score of a project: 28 tests in four sections, each tied to evidence; the score is the least section.

A test gives 1 when it runs by itself and was seen at work on this project, 0.5 when it is done by hand and documented,
or is set up for this project but was not seen at work yet, and 0 otherwise. Nothing is given for what edgeferry only
could do.
Rules: pure; the same evidence gives the same score.
Source: Breck et al. 2017, "The ML Test Score: A Rubric for ML Production Readiness and Technical Debt Reduction"
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from trainer.score.evidence import Evidence

AUTOMATED: Final = 1.0
BY_HAND: Final = 0.5
"""Done by hand and documented, or set up and not seen at work yet."""
NOTHING: Final = 0.0
BANDS: Final = (
    (0.0, "more of a research project than a system in production"),
    (1.0, "not totally untested, but serious holes are possible"),
    (2.0, "a first pass at productionization, more is needed"),
    (3.0, "reasonably tested, more of it could be automated"),
    (5.0, "strong automated testing and monitoring, fit for critical use"),
)
"""The rubric's own words, shortened, by the highest score that they hold for."""
BEST_BAND: Final = "exceptional automated testing and monitoring"


class Section(StrEnum):
    """The rubric's four sections, seven tests each."""

    DATA = "features and data"
    MODEL = "model development"
    INFRASTRUCTURE = "infrastructure"
    MONITORING = "monitoring"


class Finding(Struct, frozen=True, kw_only=True):
    """What was found for a test: points and the evidence in words that point to a file, a run or a setting."""

    points: float
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Test:
    """A test of the rubric: how it is judged, and what would raise it."""

    id: str
    title: str
    look: Callable[[Evidence], Finding]
    to_raise: str


class TestScore(Struct, frozen=True, kw_only=True):
    """A test's points with their evidence; `to_raise` is empty at full points."""

    id: str
    section: Section
    title: str
    points: float
    evidence: tuple[str, ...]
    to_raise: str


class ScoreCard(Struct, frozen=True, kw_only=True):
    """All 28 tests; `score` is the least of `sections`."""

    schema: int = 1
    model: str
    score: float
    band: str
    sections: dict[Section, float]
    tests: tuple[TestScore, ...]


def found(points: float, *evidence: str) -> Finding:
    """A finding; empty texts are left out."""
    return Finding(points=points, evidence=tuple(filter(None, evidence)))


def score_project(evidence: Evidence, rubric: dict[Section, Sequence[Test]]) -> ScoreCard:
    """The card. A statement by a person lifts a test to 0.5 and never lowers it."""
    scored = tuple(_score_test(section, test, evidence) for section, tests in rubric.items() for test in tests)
    sections = {section: sum(each.points for each in scored if each.section is section) for section in rubric}
    score = min(sections.values())
    return ScoreCard(model=evidence.project.name, score=score, band=band(score), sections=sections, tests=scored)


def _score_test(section: Section, test: Test, evidence: Evidence) -> TestScore:
    machine = test.look(evidence)
    stated = tuple(
        f"score.toml: {each.by}, {each.on:%Y-%m-%d}: {each.what}"
        for each in evidence.statements
        if each.test == test.id
    )
    points = max(machine.points, BY_HAND) if stated else machine.points
    return TestScore(
        id=test.id,
        section=section,
        title=test.title,
        points=points,
        evidence=(*machine.evidence, *stated),
        to_raise="" if points >= AUTOMATED else test.to_raise,
    )


def band(score: float) -> str:
    """What the rubric says of such a score."""
    return next((words for highest, words in BANDS if score <= highest), BEST_BAND)
