"""The content hash of data."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.fakes.trainer_projects import make_dataset
from trainer.data.snapshot import snapshot_sha256


def test_the_same_content_has_the_same_hash() -> None:
    """Neither the source's name nor the memory layout counts."""
    data = make_dataset()
    twin = replace(make_dataset(), source="elsewhere", inputs_B=np.asfortranarray(data.inputs_B))
    assert snapshot_sha256(data) == snapshot_sha256(twin)


def test_every_part_of_the_content_counts() -> None:
    """One value, one label, one name, one slice or the dtype changes the hash."""
    data = make_dataset()
    inputs_B, labels_B, slices_B = data.inputs_B.copy(), data.labels_B.copy(), data.slices_B.copy()
    inputs_B[5, 0, 0, 0] += 1
    labels_B[5] = (labels_B[5] + 1) % 3
    slices_B[5] = "x"
    others = [
        replace(data, inputs_B=inputs_B),
        replace(data, labels_B=labels_B),
        replace(data, slices_B=slices_B),
        replace(data, label_names=("low", "middle", "top")),
        replace(data, inputs_B=data.inputs_B.astype(np.int16)),
        replace(data, inputs_B=data.inputs_B.reshape(-1, 4, 2, 2)),
    ]
    assert len({snapshot_sha256(other) for other in [data, *others]}) == len(others) + 1
