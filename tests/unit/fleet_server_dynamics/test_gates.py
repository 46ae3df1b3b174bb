"""The gate of a stage, case by case."""

from __future__ import annotations

import msgspec
import pytest

from fleet_contract.rollout import StageGate
from fleet_server.rollout.gates import Counts, Verdict, judge

GATE = StageGate(max_failures=1, min_samples=3, min_success_fraction=0.75)

CASES = {
    "nobody has ended": (Counts(4, 0, 0, 4, 0), Verdict.WAIT),
    "all offline and none begun": (Counts(4, 0, 0, 0, 0), Verdict.WAIT),
    "one failure is allowed": (Counts(4, 2, 1, 1, 3), Verdict.WAIT),
    "two failures among two that ended are too few samples": (Counts(4, 0, 2, 2, 2), Verdict.WAIT),
    "two failures among three that ended": (Counts(4, 1, 2, 1, 3), Verdict.FAIL),
    "two failures of a stage of two": (Counts(2, 0, 2, 0, 2), Verdict.FAIL),
    "three of four succeeded": (Counts(4, 3, 1, 0, 4), Verdict.PASS),
    "two of three succeeded": (Counts(3, 2, 1, 0, 3), Verdict.FAIL),
    "offline devices hold nobody up": (Counts(9, 3, 0, 0, 3), Verdict.PASS),
    "too few have ended and the rest is offline": (Counts(9, 2, 0, 0, 2), Verdict.WAIT),
    "everybody was superseded": (Counts(3, 0, 0, 0, 3), Verdict.FAIL),
    "accepted failures do not count": (Counts(4, 2, 2, 0, 4, accepted=2), Verdict.PASS),
    "all failures accepted": (Counts(3, 0, 3, 0, 3, accepted=3), Verdict.PASS),
}


@pytest.mark.parametrize(("counts", "verdict"), CASES.values(), ids=CASES.keys())
def test_what_the_gate_says(counts: Counts, verdict: Verdict) -> None:
    """Each case has one verdict, and a failure gives its reason."""
    judgement = judge(counts, GATE)
    assert judgement.verdict is verdict
    assert bool(judgement.reason) or verdict is Verdict.WAIT


def test_a_gate_that_asks_for_nothing_still_asks_for_one_success() -> None:
    """A stage in which every device failed does not pass, however lenient its gate is."""
    lenient = StageGate(max_failures=9, min_success_fraction=0.0)
    assert judge(Counts(3, 0, 3, 0, 3), lenient).verdict is Verdict.FAIL
    assert judge(Counts(3, 1, 2, 0, 3), lenient).verdict is Verdict.PASS


@pytest.mark.parametrize("fraction", [float("nan"), float("inf"), -0.1, 1.1])
def test_a_gate_that_cannot_be_read_fails(fraction: float) -> None:
    """A threshold that makes no sense stops the rollout, whatever the counts."""
    gate = msgspec.structs.replace(GATE, min_success_fraction=fraction)
    assert judge(Counts(4, 4, 0, 0, 4), gate).verdict is Verdict.FAIL
