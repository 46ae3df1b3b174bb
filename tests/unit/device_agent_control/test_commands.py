"""Uploads of samples keep their budget."""

from __future__ import annotations

from device_agent.commands import MAX_BATCH_BYTES, batches
from fleet_contract.api import SampleUpload
from fleet_contract.codec import encode
from tests.fakes.contract_documents import NOON


def sample(size_bytes: int) -> SampleUpload:
    """A sample with about `size_bytes` of data."""
    return SampleUpload(
        captured_at=NOON,
        model="eye",
        version=1,
        predicted="yes",
        confidence=0.9,
        chosen="random",
        dtype="uint8",
        shape=(2,),
        data="A" * size_bytes,
    )


def test_samples_past_the_budget_stay_at_home() -> None:
    """What is sent fits the budget, encoding included; a smaller one may still fit after one that did not."""
    samples = [sample(1000), sample(5000), sample(1000)]
    budget_bytes = 2 * len(encode(sample(1000)))
    (batch,) = batches(samples, budget_bytes)
    assert [len(each.data) for each in batch] == [1000, 1000]


def test_uploads_are_split_below_the_batch_size() -> None:
    """No upload is larger than the server takes at once."""
    made = list(batches([sample(MAX_BATCH_BYTES // 3)] * 5, 10 * MAX_BATCH_BYTES))
    assert [len(batch) for batch in made] == [2, 2, 1]


def test_no_budget_sends_nothing() -> None:
    """A budget of zero is no upload, not an empty one."""
    assert list(batches([sample(1)], 0)) == []
