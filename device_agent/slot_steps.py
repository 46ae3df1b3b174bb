"""Carries out the actions of one slot's deployment; each ends in a decision for the pure machine.

Every action may be repeated after a restart. An error becomes the decision that fits it: tried again, rejected,
failed, or rolled back; nothing that goes wrong here leaves a slot without an answer.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from device_agent.budget import ByteBudget
from device_agent.faults import RefusedError, describe, ending
from device_agent.machine import Course, happen, interrupted
from device_agent.probation import verdict
from device_agent.slots import needed_blobs
from device_agent.variants import best_variant
from fleet_contract.codec import decode
from fleet_contract.deployment import CHANGED, DeploymentAction, DeploymentError, DeploymentEvent, ErrorClass
from fleet_contract.device_profile import fitting_variants
from fleet_contract.errors import EdgeferryError
from fleet_contract.messages import InstalledRelease
from fleet_contract.signing import DESIRED_TYPE, SignedDocument, open_envelope

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from device_agent.presence import ServerPresence
    from device_agent.serving import SlotServing
    from device_agent.slot_record import SlotRecord
    from device_agent.surroundings import Surroundings
    from fleet_contract.desired import SlotDesired
    from fleet_contract.release import ReleaseManifest, Variant

    Decide = Callable[[SlotRecord, datetime], Course]

A, E = DeploymentAction, DeploymentEvent

MAX_RETRY_S: Final = 300.0
DEFAULT_BYTE_FACTOR: Final = 4
DESIRED_ENVELOPE: Final = "desired_envelope"

_log = logging.getLogger(__name__)


class SlotSteps:
    """The actions of one slot."""

    def __init__(self, around: Surroundings, serving: SlotServing, presence: ServerPresence) -> None:
        self._around = around
        self._serving = serving
        self._presence = presence
        self._actions = {
            A.DOWNLOAD: self._download,
            A.SCHEDULE_RETRY: self._wait_for_retry,
            A.VERIFY: self._verify,
            A.CHECK_READY: self._check_ready,
            A.PREFLIGHT: self._preflight,
            A.ACTIVATE: self._activate,
            A.OBSERVE: self._observe,
            A.COMMIT: self._commit,
            A.ROLL_BACK: self._roll_back,
            A.DISCARD: self._discard,
        }

    async def carry_out(self, action: DeploymentAction, record: SlotRecord) -> Decide:
        """Does `action` and returns what the machine should decide on."""
        step = self._actions.get(action)
        desired = record.desired
        if step is None or desired is None:
            return _ends(E.FAIL, DeploymentError(kind=ErrorClass.INTERNAL, code="no-action", detail=f"{action}"))
        try:
            return await step(record, desired)
        except EdgeferryError as error:
            if isinstance(error, RefusedError):
                self._around.ledger.report(error, slot=record.slot, deployment_id=desired.deployment_id)
            _log.warning("step failed slot=%s action=%s error=%s", record.slot, action, error.message)
            return _after_error(action, record, error)
        except Exception as error:  # noqa: BLE001 - the last net: whatever it is, the slot gets an answer
            _log.exception("step broke slot=%s action=%s", record.slot, action)
            return _after_error(action, record, error)

    async def _download(self, record: SlotRecord, desired: SlotDesired) -> Decide:
        around = self._around
        data = await around.trust.release(desired.model, desired.version)
        manifest = around.files.keep_manifest(data, desired.release_sha256)
        check_names(manifest, desired)
        fitting, unfit = fitting_variants(manifest.variants, around.profile)
        if not fitting:
            reasons = "; ".join(f"{each.variant}: {each.reason}" for each in unfit)[:512]
            error = DeploymentError(kind=ErrorClass.COMPAT, code="no-variant", detail=reasons)
            return _ends(E.NO_VARIANT_FITS, error)
        blobs = needed_blobs(manifest, fitting[: around.config.max_variants])
        size_bytes = sum(blob.size_bytes for blob in blobs)
        budget = ByteBudget(
            desired.download.max_bytes or DEFAULT_BYTE_FACTOR * size_bytes, spent_bytes=record.spent_bytes
        )
        try:
            for blob in blobs:
                await around.blobs.fetch(blob, budget)
        except EdgeferryError as error:
            if isinstance(error, RefusedError):
                around.ledger.report(error, slot=record.slot, deployment_id=desired.deployment_id)
            return _download_failed(error, budget.spent_bytes)
        return _ends(E.DOWNLOADED)

    async def _wait_for_retry(self, record: SlotRecord, _: SlotDesired) -> Decide:
        longest_s = min(MAX_RETRY_S, self._around.config.retry_base_s * 2 ** min(record.attempts, 16))
        await asyncio.sleep(self._around.rng.uniform(0.0, longest_s))
        return _ends(E.RETRY_DUE)

    async def _verify(self, _record: SlotRecord, desired: SlotDesired) -> Decide:
        """The director's key may have been revoked since; the files may have rotted."""
        envelope = self._around.store.meta_bytes(DESIRED_ENVELOPE)
        open_envelope(decode(envelope, SignedDocument), DESIRED_TYPE, self._around.trust.verify)
        manifest = self._around.files.manifest(desired.release_sha256)
        for variant in self._candidates(manifest):
            hosted = self._around.files.hosted(desired.release_sha256, variant.id)
            for blob in needed_blobs(manifest, [variant]):
                await asyncio.to_thread(hosted.blob_path, blob)
        return _ends(E.VERIFIED)

    async def _check_ready(self, _record: SlotRecord, _: SlotDesired) -> Decide:
        return _ends(E.READY)

    async def _preflight(self, _record: SlotRecord, desired: SlotDesired) -> Decide:
        around = self._around
        manifest = around.files.manifest(desired.release_sha256)
        releases = [around.files.hosted(desired.release_sha256, variant.id) for variant in self._candidates(manifest)]
        best, failures = await best_variant(
            releases,
            desired.preflight,
            around.preflight,
            threads=around.config.threads,
            memory_limit_mb=around.config.memory_budget_mb,
            monotonic=around.monotonic,
        )
        if best is None:
            detail = "; ".join(f"{name}: {result.code} {result.detail}" for name, result in failures.items())[:512]
            code = next((f"preflight-{result.code}" for result in failures.values()), "no-variant")
            return _ends(E.FAIL, DeploymentError(kind=ErrorClass.RUNTIME, code=code, detail=detail))
        staged = InstalledRelease(
            model=desired.model,
            version=desired.version,
            variant=best.variant_id,
            release_sha256=desired.release_sha256,
        )
        return partial(_decide, event=E.PREFLIGHT_PASSED, error=None, staged=staged)

    async def _activate(self, record: SlotRecord, _: SlotDesired) -> Decide:
        assert record.staged is not None, "ACTIVATING is reached through PREFLIGHT_PASSED alone"
        await self._serving.serve(record.staged, probation=True)
        return _ends(E.ACTIVATED)

    async def _observe(self, _record: SlotRecord, desired: SlotDesired) -> Decide:
        started_s = self._around.monotonic()
        while True:
            reached = verdict(
                self._serving.counts(),
                desired.probation,
                elapsed_s=self._around.monotonic() - started_s,
                server_reachable=await self._presence.reachable(),
            )
            if reached is not None:
                return _ends(*reached)
            await asyncio.sleep(self._around.probation_poll_s)

    async def _commit(self, _record: SlotRecord, _: SlotDesired) -> Decide:
        self._serving.end_probation()
        return _stays

    async def _roll_back(self, record: SlotRecord, _: SlotDesired) -> Decide:
        """Back to what ran before; where nothing ran before, nothing runs again."""
        target = record.previous if record.pointer_moved else record.active
        if target is None:
            await self._serving.stop()
        else:
            await self._serving.serve(target, probation=False)
        return _ends(E.ROLLBACK_DONE)

    async def _discard(self, _record: SlotRecord, _: SlotDesired) -> Decide:
        return _stays  # the garbage collection after every end has done it

    def _candidates(self, manifest: ReleaseManifest) -> list[Variant]:
        fitting, _ = fitting_variants(manifest.variants, self._around.profile)
        return fitting[: self._around.config.max_variants]


def check_names(manifest: ReleaseManifest, desired: SlotDesired) -> None:
    """Passes when the manifest is of the model and version that the director names.

    Raises:
        RefusedError: it is not.
    """
    if (manifest.model, manifest.version) != (desired.model, desired.version):
        raise RefusedError(
            f"release: got {manifest.model} v{manifest.version}, expected {desired.model} v{desired.version}",
            refused="release",
            code="release-mismatch",
        )


def _ends(event: DeploymentEvent, error: DeploymentError | None = None) -> Decide:
    return partial(_decide, event=event, error=error, staged=None)


def _decide(
    record: SlotRecord,
    now: datetime,
    *,
    event: DeploymentEvent,
    error: DeploymentError | None,
    staged: InstalledRelease | None,
) -> Course:
    return happen(record, event, now, error=error, staged=staged)


def _stays(record: SlotRecord, now: datetime) -> Course:  # noqa: ARG001 - one form for all decisions
    return Course(record, (), A.NONE)


def _download_failed(error: Exception, spent_bytes: int) -> Decide:
    described = describe(error)

    def decide(record: SlotRecord, now: datetime) -> Course:
        spent = replace(record, spent_bytes=spent_bytes)
        if described.retryable:
            return interrupted(spent, described, now)
        return happen(spent, ending(described), now, error=described)

    return decide


def _after_error(action: DeploymentAction, record: SlotRecord, error: Exception) -> Decide:
    if action is A.DOWNLOAD:
        return _download_failed(error, record.spent_bytes)
    described = describe(error)
    if action is A.ROLL_BACK:
        return _ends(E.ROLLBACK_FAILED, described)
    return _ends(E.FAIL if record.state in CHANGED else ending(described), described)
