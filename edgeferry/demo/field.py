"""The demo's data, cut in three before anything else: for training, for the cameras, for measuring accuracy.

Training never sees a field image, so that accuracy on the devices is honest; the probe is never sent home either.
Legend: B rows, H, W, C image axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SEED: Final = 20
FIELD_ROWS: Final = 600
LARGEST_PROJECT_ROWS: Final = 2_000
"""Enough for the story; more would only make each of its four trainings longer."""


@dataclass(frozen=True, slots=True)
class Field:
    """Images out there: `stream_*` is what cameras see, `probe_*` what accuracy is measured on."""

    source: str
    project_rows: int
    stream_BHWC: NDArray[np.uint8]
    stream_labels: tuple[str, ...]
    probe_BHWC: NDArray[np.uint8]
    probe_labels: tuple[str, ...]


def cut(source: str, project_npz: Path) -> Field:
    """Loads `source`, writes the project's share to `project_npz` and returns the field's.

    Raises:
        DataError: the source is missing or corrupt.
    """
    from trainer.settings import DataSection
    from trainer.sources.uri import load_source

    data = load_source(DataSection(source=source), project_npz.parent)
    order_I = np.random.default_rng(SEED).permutation(len(data))
    half = FIELD_ROWS // 2
    stream, probe = data.rows(order_I[:half]), data.rows(order_I[half:FIELD_ROWS])
    rest = data.rows(order_I[FIELD_ROWS : FIELD_ROWS + LARGEST_PROJECT_ROWS])
    np.savez_compressed(
        project_npz, inputs=rest.inputs_B, labels=rest.labels_B, label_names=np.asarray(data.label_names)
    )
    names = data.label_names
    return Field(
        source=data.source,
        project_rows=len(rest),
        stream_BHWC=stream.inputs_B,
        stream_labels=tuple(names[index] for index in stream.labels_B),
        probe_BHWC=probe.inputs_B,
        probe_labels=tuple(names[index] for index in probe.labels_B),
    )
