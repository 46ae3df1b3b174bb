"""Samples are half random, half hesitant, without doubles and under the byte budget."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest

from device_agent.sampling import OVERHEAD_BYTES, Sampler, to_upload, upload_bytes
from fleet_contract.codec import encode

if TYPE_CHECKING:
    from numpy.typing import NDArray

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def _sampler(max_samples: int, max_bytes: int = 10**9, seed: int = 1) -> Sampler:
    return Sampler(max_samples=max_samples, max_bytes=max_bytes, sample_bytes=8, rng=Random(seed))


def _scores(margin: float) -> NDArray[np.float32]:
    return np.array([[(1 + margin) / 2, (1 - margin) / 2]], np.float32)


def _stream(sampler: Sampler, count: int, sure: float = 0.99, hesitant_every: int = 10) -> None:
    for index in range(count):
        margin = 0.01 if index % hesitant_every == 0 else sure
        sampler.offer(np.array([[index]], np.int64), _scores(margin), NOW)


def test_half_is_random_and_half_hesitates() -> None:
    """Of ten samples five come for chance; the other five are nearly all from the hesitant tenth of the stream."""
    sampler = _sampler(10)
    _stream(sampler, 1000)
    chosen = sampler.chosen()
    assert [why for why, _ in chosen] == ["random"] * 5 + ["margin"] * 5
    hesitant = [int(seen.raw[0]) % 10 == 0 for why, seen in chosen if why == "margin"]
    assert sum(hesitant) >= 4


def test_the_random_half_is_fair() -> None:
    """Early and late inputs are equally likely to be in the random half."""
    places = []
    for seed in range(150):
        sampler = _sampler(4, seed=seed)
        _stream(sampler, 100)
        places += [int(seen.raw[0]) for why, seen in sampler.chosen() if why == "random"]
    assert 42 < np.mean(places) < 57


def test_equal_inputs_count_once() -> None:
    """A camera that shows a still picture gives one sample."""
    sampler = _sampler(10)
    for _ in range(50):
        sampler.offer(np.array([[7]], np.int64), _scores(0.5), NOW)
    assert len(sampler.chosen()) == 1


def test_no_input_is_chosen_twice() -> None:
    """What is in the random half is not sent again for its margin, and the budget is still filled."""
    sampler = _sampler(8)
    _stream(sampler, 9)
    raws = [int(seen.raw[0]) for _, seen in sampler.chosen()]
    assert len(raws) == len(set(raws)) == 8


@pytest.mark.parametrize("max_bytes", [0, upload_bytes(8) - 1, upload_bytes(8), 5 * upload_bytes(8) + 3])
def test_the_byte_budget_holds(max_bytes: int) -> None:
    """As many samples are chosen as fit, counted as they travel."""
    sampler = _sampler(100, max_bytes=max_bytes)
    _stream(sampler, 300)
    chosen = sampler.chosen()
    uploads = [to_upload(why, seen, model="m" * 63, version=2**31 - 1, labels=("a", "b")) for why, seen in chosen]
    assert len(uploads) == max_bytes // upload_bytes(8)
    assert sum(len(encode(upload)) for upload in uploads) <= max_bytes


def test_kept_inputs_are_copies() -> None:
    """A caller may reuse its buffer."""
    sampler = _sampler(2)
    raw_B = np.array([[1, 2, 3]], np.int64)
    sampler.offer(raw_B, _scores(0.1), NOW)
    raw_B[:] = 0
    assert sampler.chosen()[0][1].raw.tolist() == [1, 2, 3]


def test_an_upload_carries_the_raw_tensor_in_c_order() -> None:
    """The tensor comes back from base64 with its shape and type."""
    sampler = _sampler(1)
    raw_B = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(1, 3, 4))
    sampler.offer(raw_B, _scores(0.2), NOW)
    why, seen = sampler.chosen()[0]
    upload = to_upload(why, seen, model="m", version=3, labels=("cat", "dog"))
    back = np.frombuffer(base64.b64decode(upload.data), upload.dtype).reshape(upload.shape)
    assert np.array_equal(back, raw_B[0])
    assert (upload.predicted, upload.chosen, upload.version) == ("cat", "random", 3)
    assert upload.confidence == pytest.approx(0.6)


def test_a_model_with_one_score_can_be_sampled() -> None:
    """The margin of a single score is its distance from its complement."""
    sampler = _sampler(2)
    sampler.offer(np.array([[1]], np.int64), np.array([[0.5]], np.float32), NOW)
    assert len(sampler.chosen()) == 1


def test_overhead_covers_long_labels() -> None:
    """The fixed cost of a sample is enough for names and labels of usual length."""
    sampler = _sampler(1)
    sampler.offer(np.array([[1]], np.int64), _scores(0.5), NOW)
    why, seen = sampler.chosen()[0]
    upload = to_upload(why, seen, model="m" * 63, version=1, labels=("l" * 100, "x"))
    assert len(encode(upload)) <= 12 + OVERHEAD_BYTES
