"""What desired documents say in the course of a rollout, forward and back. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from fleet_contract.desired import SlotDesired
from fleet_server.rollout.snapshot import runs

if TYPE_CHECKING:
    from fleet_contract.messages import InstalledRelease, SlotReport
    from fleet_server.rollout.snapshot import Member, Rollout


def forward(rollout: Rollout, member: Member) -> SlotDesired:
    """The slot's desired release on the way forward."""
    return SlotDesired(
        slot=rollout.slot,
        deployment_id=rollout.deployment_id(member),
        model=rollout.model,
        version=rollout.version,
        release_sha256=rollout.release_sha256,
        probation=rollout.policies.probation,
        preflight=rollout.policies.preflight,
        download=rollout.policies.download,
    )


def backward(rollout: Rollout, member: Member) -> SlotDesired | None:
    """The slot's desired release on the way back; None where nothing ran before."""
    if member.previous is None:
        return None
    return msgspec.structs.replace(member.previous, deployment_id=rollout.return_deployment_id)


def remember(rollout: Rollout, member: Member, report: SlotReport | None, asked: SlotDesired | None) -> Member:
    """The member with what its slot ran before the rollout came: what it reports, else what it was asked to run."""
    if member.previous_known:
        return member
    active = report.active if report else None
    if active is None or (asked is not None and runs(active, asked)):
        return replace(member, previous=asked, previous_known=True)
    previous = _as_desired(rollout, active)
    return replace(member, previous=previous, previous_known=True)


def _as_desired(rollout: Rollout, active: InstalledRelease) -> SlotDesired:
    return SlotDesired(
        slot=rollout.slot,
        deployment_id=rollout.return_deployment_id,
        model=active.model,
        version=active.version,
        release_sha256=active.release_sha256,
        probation=rollout.policies.probation,
        preflight=rollout.policies.preflight,
        download=rollout.policies.download,
    )
