"""The gate of a stage: counts of DEVICES in, a judgement out. Pure.

Rules: a stage FAILS as soon as more than `max_failures` devices failed and at least `min_samples` (or all that the
stage has) have ended; it PASSES when none is at work or within reach any more, enough have ended, and
`min_success_fraction` of those that ended well or badly did so well; at least one must have. What cannot be read
fails (fail closed), and a stage in which no device has ended yet neither passes nor fails.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from fleet_contract.deployment import FAILURES, SUCCEEDED, TERMINAL

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fleet_contract.rollout import StageGate
    from fleet_server.rollout.snapshot import Member


class Verdict(StrEnum):
    """What a gate says."""

    WAIT = "wait"
    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and why, in words."""

    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """Devices of a stage: `reachable` have not ended and are at work or online; `accepted` failures do not count."""

    members: int
    succeeded: int
    failed: int
    reachable: int
    ended: int
    accepted: int = 0


def count(members: Iterable[Member], online: Iterable[bool], accepted: int = 0) -> Counts:
    """The counts of a stage, of which `online` says for each member whether it is there."""
    pairs = list(zip(members, online, strict=True))
    states = [member.state for member, _ in pairs]
    return Counts(
        members=len(pairs),
        succeeded=sum(state in SUCCEEDED for state in states),
        failed=sum(state in FAILURES for state in states),
        reachable=sum(member.state not in TERMINAL and (member.given or there) for member, there in pairs),
        ended=sum(state in TERMINAL for state in states),
        accepted=accepted,
    )


def failing(counts: Counts, gate: StageGate) -> str:
    """Why the stage has failed by its number of failures; empty while it has not."""
    failures = counts.failed - counts.accepted
    if failures <= gate.max_failures or counts.ended < min(gate.min_samples, counts.members):
        return ""
    return f"{failures} of {counts.ended} devices that ended failed, allowed are {gate.max_failures}"


def judge(counts: Counts, gate: StageGate) -> Judgement:
    """What the gate says of these counts."""
    if not (math.isfinite(gate.min_success_fraction) and 0.0 <= gate.min_success_fraction <= 1.0):
        return Judgement(Verdict.FAIL, f"the gate cannot be read: min_success_fraction {gate.min_success_fraction}")
    reason = failing(counts, gate)
    if reason:
        return Judgement(Verdict.FAIL, reason)
    if counts.reachable or counts.ended < max(1, min(gate.min_samples, counts.members)):
        return Judgement(Verdict.WAIT)
    return _judge_fraction(counts, gate)


def _judge_fraction(counts: Counts, gate: StageGate) -> Judgement:
    counted = counts.succeeded + counts.failed - counts.accepted
    if counts.succeeded == 0:
        if counts.accepted == counts.failed > 0:
            return Judgement(Verdict.PASS, "its failures were accepted")
        return Judgement(Verdict.FAIL, f"no device succeeded, {counts.failed} failed")
    fraction = counts.succeeded / counted
    words = f"{counts.succeeded} of {counted} devices succeeded"
    if fraction < gate.min_success_fraction:
        return Judgement(Verdict.FAIL, f"{words}, needed is a share of {gate.min_success_fraction:g}")
    return Judgement(Verdict.PASS, words)
