"""The content hash of data: the same arrays, labels and slices give the same hash on every machine.

Rules: pure; source names and paths do not count, every value does. What a source does not have (features, groups,
times) adds nothing, so that the hash of data without them is what it was before there were such things.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from fleet_contract.codec import encode
from fleet_contract.names import Sha256

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from trainer.data.dataset import Dataset


def snapshot_sha256(data: Dataset) -> Sha256:
    """SHA-256 over the label names, then each array with its name, dtype and shape before its bytes in C order."""
    digest = hashlib.sha256(encode({"snapshot": 1, "label_names": data.label_names}))
    _update(digest, "inputs", data.inputs_B)
    _update(digest, "labels", data.labels_B)
    digest.update(encode({"slices": data.slices_B.tolist()}))
    if data.features:
        digest.update(encode({"features": data.features}))
    if data.groups_B is not None:
        digest.update(encode({"groups": data.groups_B.tolist()}))
    if data.times_B is not None:
        _update(digest, "times", data.times_B)
    return Sha256(digest.hexdigest())


def _update(digest: hashlib._Hash, name: str, array: NDArray[Any]) -> None:
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    digest.update(encode({"array": name, "dtype": little_endian.dtype.str, "shape": little_endian.shape}))
    digest.update(little_endian.data.cast("B"))
