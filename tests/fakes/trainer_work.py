"""The retrain worker's ports in memory: a queue of requests, a releaser, a clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from fleet_contract.api import LeaseRenew, LeaseRequest, RetrainResult, RetrainState, RetrainView
from fleet_contract.errors import ConflictError, EdgeferryError
from trainer.worker import ReleaseOutcome

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trainer.judging.validate import Champion
    from trainer.sources.fleet import RawSample

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class FakeClock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0

    def now(self) -> datetime:
        """The time of day."""
        return NOW + timedelta(seconds=self.elapsed_s)

    def monotonic_s(self) -> float:
        """Seconds since the clock was made."""
        return self.elapsed_s


class FakeQueue:
    """One request; `taken` makes every renewal and result a conflict, as when another worker has the lease."""

    def __init__(self, samples: Sequence[RawSample] = (), *, open_requests: int = 1) -> None:
        self.samples = samples
        self.open_requests = open_requests
        self.taken = False
        self.results: list[RetrainResult] = []
        self.renewals = 0
        self.leased_models: tuple[str, ...] = ()

    def lease(self, request: LeaseRequest) -> RetrainView | None:
        """The request while there is one."""
        self.leased_models = request.models
        if self.open_requests == 0:
            return None
        self.open_requests -= 1
        return RetrainView(id="req-1", model="rows", reason="drift", state=RetrainState.LEASED, created_at=NOW)

    def renew(self, request_id: str, renewal: LeaseRenew) -> None:
        """Counts the renewal."""
        assert (request_id, renewal.owner) == ("req-1", "worker-1")
        self._check_owner()
        self.renewals += 1

    def finish(self, request_id: str, result: RetrainResult) -> None:
        """Keeps the result."""
        assert request_id == "req-1"
        self._check_owner()
        self.results.append(result)

    def labelled_samples(self, request: RetrainView) -> Sequence[RawSample]:
        """The samples given."""
        assert request.id == "req-1"
        return self.samples

    def _check_owner(self) -> None:
        if self.taken:
            raise ConflictError("request req-1 is leased to worker-2")


class FakeReleaser:
    """Remembers the folders released; fails with `error` where one is given."""

    def __init__(self, champion: Champion | None = None, error: EdgeferryError | None = None) -> None:
        self._champion = champion
        self._error = error
        self.released: list[Path] = []

    def champion(self, model: str) -> Champion | None:
        """The champion given."""
        assert model == "rows"
        return self._champion

    def release(self, candidate_folder: Path, request: RetrainView) -> ReleaseOutcome:
        """Version 2 and its rollout."""
        assert request.id == "req-1"
        if self._error is not None:
            raise self._error
        self.released.append(candidate_folder)
        return ReleaseOutcome(version=2, rollout_id="rollout-7")
