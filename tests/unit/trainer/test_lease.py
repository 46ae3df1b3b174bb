"""A lease is renewed while work goes on, and its loss stops the work."""

from __future__ import annotations

import threading

import pytest

from fleet_contract.errors import ConflictError, UnreachableError
from tests.fakes.trainer_progress import RecordingProgress
from tests.fakes.trainer_work import FakeClock
from trainer.lease import Lease, LeasedProgress

LEASE_S = 0.03
PATIENCE_S = 5.0


def test_the_lease_is_renewed_until_the_block_ends() -> None:
    """Two renewals come by themselves; none after the end."""
    renewed = threading.Semaphore(0)
    lease = Lease(renewed.release, lease_s=LEASE_S, monotonic_s=FakeClock().monotonic_s)
    with lease:
        assert renewed.acquire(timeout=PATIENCE_S)
        assert renewed.acquire(timeout=PATIENCE_S)
        lease.require_held()
    while renewed.acquire(blocking=False):
        pass
    assert not renewed.acquire(timeout=3 * LEASE_S)


def test_a_refused_renewal_stops_the_work_at_its_next_stage() -> None:
    """The progress of a run raises once the lease is another's."""
    asked = threading.Event()

    def refuse() -> None:
        asked.set()
        raise ConflictError("taken")

    heard = RecordingProgress()
    with Lease(refuse, lease_s=LEASE_S, monotonic_s=FakeClock().monotonic_s) as lease:
        progress = LeasedProgress(heard, lease)
        progress.stage("train")
        assert asked.wait(PATIENCE_S)
        lease._thread.join(PATIENCE_S)
        with pytest.raises(ConflictError, match="lease lost: taken"):
            progress.epoch(1, 2, {})
    assert heard.stages == ["train"]
    assert heard.epochs == []


def test_an_unreachable_server_loses_the_lease_only_when_it_has_run_out() -> None:
    """A short outage is survived; one longer than the lease is not."""
    asked = threading.Semaphore(0)

    def fail() -> None:
        asked.release()
        raise UnreachableError("no answer")

    clock = FakeClock()
    with Lease(fail, lease_s=LEASE_S, monotonic_s=clock.monotonic_s) as lease:
        assert asked.acquire(timeout=PATIENCE_S)
        lease.require_held()
        clock.elapsed_s = LEASE_S
        with pytest.raises(ConflictError, match="not renewed within"):
            lease.require_held()
