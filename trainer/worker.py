"""The retrain worker: leases a request, trains with the fleet's samples, releases what passes, reports what came of it.

    outcome = run_once(project, queue, releaser, owner="worker-1", work_folder=folder, clock=clock, progress=Silent())

Rules: one request at a time; a lost lease publishes nothing and reports nothing, since the request is another worker's;
every error of ours is reported as failed, with its words; an interrupted worker says nothing and lets its lease expire,
so another takes the request. Ports are declared here and wired to the server by the front door.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from fleet_contract.api import LeaseRenew, LeaseRequest, RetrainResult
from fleet_contract.errors import ConflictError, EdgeferryError, GateError
from trainer.lease import Lease, LeasedProgress
from trainer.pipeline import run
from trainer.report import failed_gates
from trainer.sources.fleet import RawSample, stack_raw

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from fleet_contract.api import RetrainView
    from trainer.judging.validate import Champion
    from trainer.progress import Progress
    from trainer.project import Project
    from trainer.records.candidate import CandidateResult

DEFAULT_LEASE_S: Final = 120.0
MAX_DETAIL_CHARS: Final = 2000


class RequestQueue(Protocol):
    """Retrain requests at the server. Every method may raise UnreachableError or AccessError."""

    def lease(self, request: LeaseRequest) -> RetrainView | None:
        """The oldest open request, now leased to `request.owner`; None when there is none."""

    def renew(self, request_id: str, renewal: LeaseRenew) -> None:
        """Holds the lease for longer; raises ConflictError when it is another's."""

    def finish(self, request_id: str, result: RetrainResult) -> None:
        """Ends the request; raises ConflictError when the lease is another's."""

    def labelled_samples(self, request: RetrainView) -> Sequence[RawSample]:
        """The labelled samples that belong to the request; may be empty."""


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What became of a candidate: its release's version, and its rollout (empty when none was opened)."""

    version: int
    rollout_id: str = ""


class Releaser(Protocol):
    """Converts, signs, publishes and rolls out. Any method may raise an EdgeferryError."""

    def champion(self, model: str) -> Champion | None:
        """The version in service, to compare with; None before the first release."""

    def release(self, candidate_folder: Path, request: RetrainView) -> ReleaseOutcome:
        """Makes a release of the candidate and opens its rollout as configured."""


class Clock(Protocol):
    """Time as the worker needs it."""

    def now(self) -> datetime:
        """The time of day, aware UTC."""

    def monotonic_s(self) -> float:
        """Seconds of a clock that never jumps."""


@dataclass(frozen=True, slots=True)
class WorkOutcome:
    """How one request ended; `result` is None when the lease was lost and nothing was reported."""

    request_id: str
    result: RetrainResult | None
    candidate: CandidateResult | None = None


def run_once(
    project: Project,
    queue: RequestQueue,
    releaser: Releaser,
    *,
    owner: str,
    work_folder: Path,
    clock: Clock,
    progress: Progress,
    lease_s: float = DEFAULT_LEASE_S,
) -> WorkOutcome | None:
    """Works on one request of the project's model; None when none is open.

    The candidate stays in `work_folder / REQUEST-TIME`, whatever became of it.

    Raises:
        UnreachableError: the server did not answer when asked for a request or told of its end.
        AccessError: the worker's token is not good enough.
    """
    request = queue.lease(LeaseRequest(owner=owner, models=(project.name,), lease_s=lease_s))
    if request is None:
        return None
    worker = _Worker(project, queue, releaser, owner, work_folder, clock, progress)
    renewal = LeaseRenew(owner=owner, lease_s=lease_s)
    request_id = request.id
    with Lease(lambda: queue.renew(request_id, renewal), lease_s=lease_s, monotonic_s=clock.monotonic_s) as lease:
        return worker.work(request, lease)


@dataclass(frozen=True, slots=True)
class _Worker:
    """What one request needs, so that its steps need not pass it on."""

    project: Project
    queue: RequestQueue
    releaser: Releaser
    owner: str
    work_folder: Path
    clock: Clock
    progress: Progress

    def work(self, request: RetrainView, lease: Lease) -> WorkOutcome:
        """Trains, releases and reports; a lost lease ends it silently."""
        made: CandidateResult | None = None
        try:
            try:
                made = self._train(request, lease)
                result = self._release(request, made, lease)
            except EdgeferryError as error:
                lease.require_held()
                result = RetrainResult(owner=self.owner, failed=True, detail=_words(error))
            self.queue.finish(request.id, result)
        except ConflictError as error:
            self.progress.remark(f"request {request.id}: {error.message}")
            return WorkOutcome(request.id, result=None, candidate=made)
        return WorkOutcome(request.id, result=result, candidate=made)

    def _train(self, request: RetrainView, lease: Lease) -> CandidateResult:
        samples = stack_raw(self.queue.labelled_samples(request), source=f"fleet samples of request {request.id}")
        now = self.clock.now()
        return run(
            self.project,
            out=self.work_folder / f"{request.id}-{now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}",
            now=now,
            progress=LeasedProgress(self.progress, lease),
            champion=self.releaser.champion(self.project.name),
            extra=samples,
            retrain_request_id=request.id,
        )

    def _release(self, request: RetrainView, made: CandidateResult, lease: Lease) -> RetrainResult:
        failed = failed_gates(made)
        if failed:
            raise GateError(f"candidate not released: {'; '.join(failed)}")
        lease.require_held()
        self.progress.stage("release")
        outcome = self.releaser.release(made.folder, request)
        accuracy = made.candidate.evaluation.overall.accuracy
        return RetrainResult(
            owner=self.owner,
            version=outcome.version,
            rollout_id=outcome.rollout_id,
            detail=f"accuracy {accuracy:.4f}, {len(made.candidate.verdict.gates)} gates passed",
        )


def _words(error: EdgeferryError) -> str:
    hint = f" ({error.hint})" if error.hint else ""
    return f"{type(error).__name__}: {error.message}{hint}"[:MAX_DETAIL_CHARS]
