"""What the last CI run on the present revision says, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trainer.ci.checks import Outcome

if TYPE_CHECKING:
    from trainer.score.evidence import Evidence


def passed_in_ci(evidence: Evidence, suite: str, words: str = "") -> str:
    """The green checks of a suite whose names hold `words`; empty when there are none, or one of them failed."""
    checks = [each for each in evidence.ci.suite(suite) if words in each.name] if evidence.ci else []
    green = [each for each in checks if each.outcome is Outcome.PASSED]
    if evidence.ci is None or not green or any(each.outcome is Outcome.FAILED for each in checks):
        return ""
    return f".edgeferry/ci.json of {evidence.ci.at:%Y-%m-%d}: {suite}: {len(green)} checks passed"
