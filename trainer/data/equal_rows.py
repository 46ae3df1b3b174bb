"""Which rows of an array are equal, byte for byte.

Rows are hashed in bulk, and those of one hash compared byte by byte, so that equal means equal whatever the hash does;
should two hashes ever collide, digests decide. Rules: pure. Legend: B rows, W 64-bit words of a row.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from trainer.data.dataset import Indices, RawInputs

    Octets = NDArray[np.uint8]
    Hashes = NDArray[Any]

BLOCK_BYTES: Final = 1024**2
LONG_ROW_BYTES: Final = 4096
"""From here on a digest for each row costs less than a loop over its words."""
WORD_BYTES: Final = 8
MIX: Final = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio, odd: multiplying by it loses nothing."""
HALF: Final = np.uint64(32)


def first_equal_rows(inputs_B: RawInputs) -> Indices:
    """For each row (B) the first row that agrees with it in all bytes: its own place where there is none before it."""
    row_bytes = math.prod(inputs_B.shape[1:]) * inputs_B.itemsize
    rows_B = np.ascontiguousarray(inputs_B).reshape(-1).view(np.uint8).reshape(len(inputs_B), row_bytes)
    short = row_bytes < LONG_ROW_BYTES
    first_B = _first_of_hash(_hashes(rows_B) if short else _digests(rows_B))
    return first_B if not short or _agree(rows_B, first_B) else _first_of_hash(_digests(rows_B))


def _first_of_hash(hashes_B: Hashes) -> Indices:
    """The first row with the hash of each; only rows whose hash is there twice are put in order."""
    first_B = np.arange(len(hashes_B))
    sorted_B = np.sort(hashes_B)
    twice = sorted_B[1:][sorted_B[1:] == sorted_B[:-1]]
    if len(twice) == 0:
        return first_B
    rows_I = np.flatnonzero(np.isin(hashes_B, twice))
    rows_I = rows_I[np.argsort(hashes_B[rows_I], kind="stable")]
    hashes_I = hashes_B[rows_I]
    begins_I = np.concatenate([[True], hashes_I[1:] != hashes_I[:-1]])
    first_B[rows_I] = rows_I[begins_I][np.cumsum(begins_I) - 1]
    return first_B


def _agree(rows_B: Octets, first_B: Indices) -> bool:
    """Whether each row is equal to the first of its hash."""
    copies_I = np.flatnonzero(first_B != np.arange(len(first_B)))
    return all(
        np.array_equal(rows_B[copies_I[block]], rows_B[first_B[copies_I[block]]])
        for block in _blocks(len(copies_I), rows_B.shape[1])
    )


def _hashes(rows_B: Octets) -> NDArray[np.uint64]:
    """A 64-bit hash of each row, in blocks that stay in the processor's cache."""
    hashes_B = np.zeros(len(rows_B), np.uint64)
    for block in _blocks(len(rows_B), rows_B.shape[1]):
        hash_B = hashes_B[block]
        for word_B in _words(rows_B[block]).T:
            hash_B ^= word_B
            hash_B *= MIX
            hash_B ^= hash_B >> HALF
    return hashes_B


def _words(rows_B: Octets) -> NDArray[np.uint64]:
    """The rows (B, W), filled up with zeros to whole words."""
    lacking = -rows_B.shape[1] % WORD_BYTES
    whole_B = np.pad(rows_B, ((0, 0), (0, lacking))) if lacking else rows_B
    return np.ascontiguousarray(whole_B).view(np.uint64)


def _digests(rows_B: Octets) -> NDArray[np.bytes_]:
    return np.asarray([hashlib.blake2b(row, digest_size=16).hexdigest() for row in rows_B], dtype="S32")


def _blocks(count: int, row_bytes: int) -> Iterator[slice]:
    step = max(1, BLOCK_BYTES // max(1, row_bytes))
    return (slice(start, start + step) for start in range(0, count, step))
