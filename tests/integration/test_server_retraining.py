"""Retrain requests, their leases, and the samples that devices send for them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from fleet_contract.api import (
    LeaseRenew,
    LeaseRequest,
    RetrainCreate,
    RetrainResult,
    RetrainState,
    SampleBatch,
    SampleUpload,
)
from fleet_contract.errors import AccessError, ConflictError, ContractError, NotFoundError
from fleet_server.settings import RetrainSettings, SamplingSettings
from tests.fakes.server_core import MODEL, START
from tests.fakes.server_dynamics import Dynamics, dynamics

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALLOWED = {"sampling": "allowed"}
LEASE = LeaseRequest(owner="w1", lease_s=60.0)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Dynamics]:
    """A release, a device that allows sampling and one that does not."""
    settings = RetrainSettings(min_labelled=2, max_lease_failures=2)
    with dynamics(tmp_path, retrain=settings, sampling=SamplingSettings(max_request_bytes=6)) as made:
        made.publish(1)
        made.enrol("pi-1", labels=ALLOWED)
        made.enrol("pi-2")
        yield made


def sample(raw: bytes = b"\x01\x02", /, **changes: object) -> SampleUpload:
    """An input of the test release: two bytes."""
    fields: dict[str, object] = {
        "captured_at": START,
        "model": MODEL,
        "version": 1,
        "predicted": "yes",
        "confidence": 0.5,
        "chosen": "margin",
        "dtype": "uint8",
        "shape": (2,),
        "data": base64.b64encode(raw).decode(),
    }
    return SampleUpload(**{**fields, **changes})  # type: ignore[arg-type]


def collecting(served: Dynamics) -> str:
    """The id of a request that collects from both devices."""
    request = RetrainCreate(model=MODEL, reason="drift", device_ids=("pi-1", "pi-2"))
    return served.policy.create(request, actor="ann").id


def test_a_request_without_devices_is_open_at_once(served: Dynamics) -> None:
    """A worker may lease it right away, and nobody is asked for samples."""
    view = served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    assert view.state is RetrainState.OPEN
    assert served.commands.due() == []


def test_only_devices_that_allow_it_are_asked(served: Dynamics) -> None:
    """The collect command goes to the device whose label allows sampling."""
    collecting(served)
    assert [command.device_id for command in served.commands.due()] == ["pi-1"]


def test_a_model_has_one_live_request(served: Dynamics) -> None:
    """A second request is refused until the first has ended."""
    first = collecting(served)
    with pytest.raises(ConflictError, match=first):
        served.policy.create(RetrainCreate(model=MODEL, reason="again"), actor="ann")
    served.requests.cancel(first, actor="ann")
    served.policy.create(RetrainCreate(model=MODEL, reason="again"), actor="ann")


def test_enough_labels_open_a_request(served: Dynamics) -> None:
    """With the second label the request opens; a label that the model does not know is refused."""
    request_id = collecting(served)
    batch = SampleBatch(request_id=request_id, samples=(sample(b"ab"), sample(b"cd")))
    assert served.samples.upload("pi-1", batch) == 2
    ids = [view.id for _, view in served.samples.page(request_id=request_id)]
    with pytest.raises(ContractError, match="one of no, yes"):
        served.samples.label(ids[0], "maybe", actor="ann")
    served.samples.label(ids[0], "yes", actor="ann")
    assert served.requests.get(request_id).state is RetrainState.COLLECTING
    served.samples.label(ids[1], "no", actor="ann")
    view = served.requests.get(request_id)
    assert (view.state, view.sample_count, view.labelled_count) == (RetrainState.OPEN, 2, 2)
    assert [each.label for _, each in served.samples.page(labelled=True)] == ["yes", "no"]
    assert served.samples.content(ids[0]) == b"ab"


def test_the_same_sample_is_stored_once(served: Dynamics) -> None:
    """An upload that is repeated stores nothing more."""
    batch = SampleBatch(request_id=collecting(served), samples=(sample(), sample()))
    assert served.samples.upload("pi-1", batch) == 1
    assert served.samples.upload("pi-1", batch) == 0


def test_a_device_without_permission_uploads_nothing(served: Dynamics) -> None:
    """Sampling is off unless the label allows it."""
    with pytest.raises(AccessError, match="sampling is not allowed"):
        served.samples.upload("pi-2", SampleBatch(request_id=collecting(served), samples=(sample(),)))


def test_the_cap_of_bytes_holds_for_a_request(served: Dynamics) -> None:
    """Six bytes are allowed: the fourth sample is refused and nothing of its batch is stored."""
    request_id = collecting(served)
    served.samples.upload("pi-1", SampleBatch(request_id=request_id, samples=(sample(b"ab"), sample(b"cd"))))
    with pytest.raises(ConflictError, match="exceed 6"):
        served.samples.upload("pi-1", SampleBatch(request_id=request_id, samples=(sample(b"ef"), sample(b"gh"))))
    assert served.requests.get(request_id).sample_count == 2


@pytest.mark.parametrize(
    "broken",
    [
        {"shape": (3,)},
        {"dtype": "float32"},
        {"data": "AAAA"},
        {"data": "not base64!"},
        {"confidence": float("nan")},
    ],
    ids=["shape", "dtype", "length", "base64", "confidence"],
)
def test_a_sample_that_is_not_the_models_input_is_refused(served: Dynamics, broken: dict[str, object]) -> None:
    """What does not fit the release's input is not stored."""
    with pytest.raises(ContractError):
        served.samples.upload("pi-1", SampleBatch(request_id=collecting(served), samples=(sample(b"ab", **broken),)))


def test_samples_for_an_unknown_or_ended_request_are_refused(served: Dynamics) -> None:
    """A request must exist and be alive."""
    with pytest.raises(NotFoundError):
        served.samples.upload("pi-1", SampleBatch(request_id="t-99", samples=(sample(),)))
    request_id = collecting(served)
    served.requests.cancel(request_id, actor="ann")
    with pytest.raises(ConflictError, match="canceled"):
        served.samples.upload("pi-1", SampleBatch(request_id=request_id, samples=(sample(),)))


def test_two_workers_never_hold_the_same_request(served: Dynamics) -> None:
    """The second worker gets nothing while the first holds the lease, and cannot renew or finish it."""
    view = served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    leased = served.requests.lease(LEASE, actor="pub")
    assert leased is not None
    assert (leased.id, leased.state, leased.lease_owner) == (view.id, RetrainState.LEASED, "w1")
    assert served.requests.lease(LeaseRequest(owner="w2"), actor="pub") is None
    with pytest.raises(ConflictError, match="w1"):
        served.requests.renew(view.id, LeaseRenew(owner="w2"))
    with pytest.raises(ConflictError, match="w1"):
        served.requests.finish(view.id, RetrainResult(owner="w2", version=2), actor="pub")


def test_a_lost_worker_loses_nothing(served: Dynamics) -> None:
    """A lease that is not renewed opens the request for another; the slow worker's result is refused."""
    view = served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    served.requests.lease(LEASE, actor="pub")
    served.clock.step(seconds=50)
    served.requests.renew(view.id, LeaseRenew(owner="w1", lease_s=60.0))
    served.clock.step(seconds=61)
    leased = served.requests.lease(LeaseRequest(owner="w2", lease_s=60.0), actor="pub")
    assert leased is not None
    assert leased.lease_owner == "w2"
    with pytest.raises(ConflictError):
        served.requests.finish(view.id, RetrainResult(owner="w1", version=2), actor="pub")
    done = served.requests.finish(view.id, RetrainResult(owner="w2", version=2, rollout_id="r-1"), actor="pub")
    assert (done.state, done.result_version, done.rollout_id) == (RetrainState.DONE, 2, "r-1")
    again = served.requests.finish(view.id, RetrainResult(owner="w2", version=2), actor="pub")
    assert again == done


def test_a_request_that_kills_its_workers_ends(served: Dynamics) -> None:
    """After `max_lease_failures` leases without a word the request has failed."""
    view = served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    for _ in range(2):
        served.requests.lease(LEASE, actor="pub")
        served.clock.step(seconds=61)
        served.requests.expire_leases()
    assert served.requests.get(view.id).state is RetrainState.FAILED
    assert served.requests.open_count() == 0


def test_a_worker_takes_only_models_that_it_knows(served: Dynamics) -> None:
    """A lease names models; others stay open."""
    served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    assert served.requests.lease(LeaseRequest(owner="w1", models=("other",)), actor="pub") is None
    assert served.requests.lease(LeaseRequest(owner="w1", models=("other", MODEL)), actor="pub") is not None


def test_a_result_is_a_version_or_a_failure(served: Dynamics) -> None:
    """A result that says neither is refused."""
    view = served.policy.create(RetrainCreate(model=MODEL, reason="new data"), actor="ann")
    served.requests.lease(LEASE, actor="pub")
    with pytest.raises(ContractError):
        served.requests.finish(view.id, RetrainResult(owner="w1"), actor="pub")
    failed = served.requests.finish(view.id, RetrainResult(owner="w1", failed=True, detail="no gain"), actor="pub")
    assert (failed.state, failed.detail) == (RetrainState.FAILED, "no gain")


def test_a_model_without_a_release_cannot_be_retrained(served: Dynamics) -> None:
    """There is nothing to start from."""
    with pytest.raises(NotFoundError, match="no release"):
        served.policy.create(RetrainCreate(model="unknown", reason="x"), actor="ann")
