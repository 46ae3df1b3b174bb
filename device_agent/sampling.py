"""Which inputs to send home: half at random, half where the model hesitates, under a byte budget.

Rules: memory is bounded by the number of samples asked for; equal inputs count once; an input is looked at only
while a collection runs. Legend: B batch, K classes.

Source: Vitter 1985, algorithm R, for the random half; Efraimidis and Spirakis 2006, algorithm A-Res, with weight
(1 - margin)^2 for the other (docs/measurements.md, drift).
"""

from __future__ import annotations

import base64
import hashlib
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from fleet_contract.api import SampleUpload

if TYPE_CHECKING:
    from datetime import datetime
    from random import Random

    from numpy.typing import NDArray

OVERHEAD_BYTES: Final = 512
"""What one sample costs besides its tensor: names, label, shape, JSON's own signs."""
_SEEN_LIMIT: Final = 16_384
_SMALLEST_WEIGHT: Final = 1e-12


@dataclass(frozen=True, slots=True)
class Seen:
    """One input with what the model said of it."""

    raw: NDArray[np.generic]
    captured_at: datetime
    top: int
    confidence: float


@dataclass(order=True, slots=True)
class _Keyed:
    key: float
    digest: bytes
    seen: Seen = field(compare=False)


class Sampler:
    """Chooses among the inputs of one collection.

    Args:
        max_samples: most samples to choose.
        max_bytes: most bytes of all uploads together, as base64 in JSON.
        sample_bytes: bytes of one raw input.
        rng: where chance comes from.
    """

    def __init__(self, *, max_samples: int, max_bytes: int, sample_bytes: int, rng: Random) -> None:
        self.capacity = min(max_samples, max_bytes // upload_bytes(sample_bytes))
        self._random_capacity = (self.capacity + 1) // 2
        self._rng = rng
        self._random: list[tuple[bytes, Seen]] = []
        self._hesitant: list[_Keyed] = []
        self._digests: dict[bytes, None] = {}
        self._offered = 0

    def offer(self, raw_B: NDArray[np.generic], scores_BK: NDArray[np.float32], captured_at: datetime) -> None:
        """Looks at each row; rows that are kept are copied."""
        if self.capacity == 0:
            return
        for raw, scores_K in zip(raw_B, scores_BK, strict=True):
            digest = hashlib.sha256(np.ascontiguousarray(raw).tobytes()).digest()
            if digest not in self._digests:
                self._remember(digest)
                self._consider(digest, raw, scores_K, captured_at)

    def chosen(self) -> list[tuple[str, Seen]]:
        """The choice so far, each with why: `random` or `margin`; no input twice."""
        taken = {digest for digest, _ in self._random}
        rest = [entry.seen for entry in sorted(self._hesitant, reverse=True) if entry.digest not in taken]
        free = self.capacity - len(self._random)
        return [("random", seen) for _, seen in self._random] + [("margin", seen) for seen in rest[:free]]

    def _remember(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > _SEEN_LIMIT:
            del self._digests[next(iter(self._digests))]

    def _consider(
        self, digest: bytes, raw: NDArray[np.generic], scores_K: NDArray[np.float32], captured_at: datetime
    ) -> None:
        self._offered += 1
        place = self._rng.randrange(self._offered)
        key = _hesitation_key(scores_K, self._rng.random())
        wanted_random = len(self._random) < self._random_capacity or place < self._random_capacity
        wanted_hesitant = len(self._hesitant) < self.capacity or key > self._hesitant[0].key
        if not (wanted_random or wanted_hesitant):
            return
        top = int(scores_K.argmax())
        seen = Seen(raw.copy(), captured_at, top, float(scores_K[top]))
        if len(self._random) < self._random_capacity:
            self._random.append((digest, seen))
        elif wanted_random:
            self._random[place] = (digest, seen)
        if wanted_hesitant:
            self._push(_Keyed(key, digest, seen))

    def _push(self, entry: _Keyed) -> None:
        if len(self._hesitant) < self.capacity:
            heapq.heappush(self._hesitant, entry)
        else:
            heapq.heapreplace(self._hesitant, entry)


def upload_bytes(sample_bytes: int) -> int:
    """Bytes that one sample of that raw size takes in an upload, at most."""
    return 4 * ((sample_bytes + 2) // 3) + OVERHEAD_BYTES


def to_upload(why: str, seen: Seen, *, model: str, version: int, labels: tuple[str, ...]) -> SampleUpload:
    """One chosen input as it goes to the server; the tensor in C order, little-endian.

    Where the release has no labels, none is predicted.
    """
    raw = np.ascontiguousarray(seen.raw)
    little = raw.astype(raw.dtype.newbyteorder("<"), copy=False)
    return SampleUpload(
        captured_at=seen.captured_at,
        model=model,
        version=version,
        predicted=labels[seen.top] if labels else "",
        confidence=min(max(seen.confidence, 0.0), 1.0),
        chosen=why,
        dtype=raw.dtype.name,
        shape=tuple(raw.shape),
        data=base64.b64encode(little.tobytes()).decode("ascii"),
    )


def _hesitation_key(scores_K: NDArray[np.float32], chance: float) -> float:
    """A-Res: u^(1/w) with w = (1 - margin)^2; the largest keys stay."""
    if len(scores_K) > 1:
        second, first = np.sort(np.clip(scores_K, 0.0, 1.0))[-2:]
    else:
        first = np.clip(scores_K[0], 0.0, 1.0)
        second = 1.0 - first
    weight = max((1.0 - abs(float(first - second))) ** 2, _SMALLEST_WEIGHT)
    return float(max(chance, _SMALLEST_WEIGHT) ** (1.0 / weight))
