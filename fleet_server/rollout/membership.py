"""Which device belongs to which stage: pure, and the same answer for the same rollout id and fleet.

Rules: a stage's size is cumulative, the greater of `count` and `fraction` (rounded up); a stratified stage that
adds devices holds, in all, at least one of every hardware; within a hardware, devices that are online come first,
then a stable hash of rollout id and device id decides, so that no device is always the canary.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fleet_contract.errors import ContractError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fleet_contract.rollout import StagePlan


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that a rollout targets."""

    device_id: str
    hardware: str
    online: bool


def check_stages(stages: Sequence[StagePlan]) -> None:
    """Passes when there are stages, with unique names, none smaller than the one before, and none empty.

    Raises:
        ContractError: they are not so.
    """
    if not stages:
        raise ContractError.mismatch("stages", got="none", expected="at least one")
    names = [stage.name for stage in stages]
    if len(set(names)) != len(names) or not all(names):
        raise ContractError.mismatch("stages: names", got=names, expected="unique names")
    for stage in stages:
        if stage.count == 0 and stage.fraction == 0.0:
            raise ContractError.mismatch(f"stage {stage.name}: size", got=0, expected="a count or a fraction above 0")
    for what in ("count", "fraction"):
        given = [stage for stage in stages if getattr(stage, what)]
        for before, after in itertools.pairwise(given):
            if getattr(after, what) < getattr(before, what):
                raise ContractError.mismatch(
                    f"stage {after.name}: {what}",
                    got=getattr(after, what),
                    expected=f"not less than {getattr(before, what)} of stage {before.name}: sizes are cumulative",
                )


def stage_members(
    rollout_id: str, candidates: Sequence[Candidate], stages: Sequence[StagePlan]
) -> list[tuple[Candidate, int]]:
    """Each device that some stage reaches, with the index of its stage, in the order in which they are served."""
    remaining = sorted(candidates, key=lambda each: (not each.online, _rank(rollout_id, each.device_id)))
    hardware_kinds = len({each.hardware for each in candidates})
    placed: list[tuple[Candidate, int]] = []
    for index, stage in enumerate(stages):
        size = _cumulative_size(stage, len(candidates))
        if stage.stratify:
            size = max(size, hardware_kinds)
            remaining = _spread(remaining, {each.hardware for each, _ in placed})
        taken = max(0, size - len(placed))
        placed += [(each, index) for each in remaining[:taken]]
        remaining = remaining[taken:]
    return placed


def _cumulative_size(stage: StagePlan, total: int) -> int:
    return min(total, max(stage.count, math.ceil(round(stage.fraction * total, 9))))


def _spread(ordered: list[Candidate], covered: set[str]) -> list[Candidate]:
    """The same devices, with the first of every hardware that no stage has yet moved to the front."""
    first: list[Candidate] = []
    rest: list[Candidate] = []
    seen = set(covered)
    for each in ordered:
        (rest if each.hardware in seen else first).append(each)
        seen.add(each.hardware)
    return first + rest


def _rank(rollout_id: str, device_id: str) -> bytes:
    return hashlib.sha256(f"{rollout_id}\0{device_id}".encode()).digest()
