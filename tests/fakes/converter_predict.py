"""A release without a runtime, an engine that scores in the test's own process, and a silent progress.

The model of `released` is a sum: score k of a row is the sum of its values times k.
Legend: B rows, K scores.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from converter.predict.chunk import encode_chunk
from converter.predict.released import ReleasedVariant
from converter.predict.scoring import Scorer
from fleet_contract.codec import encode
from fleet_contract.errors import ModelError
from fleet_contract.tensors import DType, TensorSpec
from tests.fakes.contract_documents import manifest, variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from converter.predict.engine import Scored
    from converter.predict.portions import Portion, ScoreJob


def released(shape: tuple[int, ...] = (2,), *, dtype: DType = DType.FLOAT32, **changes: object) -> ReleasedVariant:
    """A release with inputs of that shape and scores `no` and `yes`; `changes` are to its manifest."""
    raw = TensorSpec(name="x", dtype=dtype, shape=shape)
    one = variant(input=TensorSpec(name="x", dtype=DType.FLOAT32, shape=shape))
    document = manifest(inputs=(raw,), variants=(one,), **changes)
    digest = hashlib.sha256(encode(document)).hexdigest()
    return ReleasedVariant(document, digest, one, Path("/nowhere"))


class SumSession:
    """A loaded model: see the module."""

    runtime_version = "1"
    runtime_package = "sum"

    def __init__(self, job: ScoreJob) -> None:
        self.input, self.output = job.input, job.output

    def run(self, stored_1: NDArray[np.generic]) -> NDArray[np.generic]:
        """The scores of one row."""
        return np.float32(stored_1.sum()) * np.arange(self.output.shape[0], dtype=np.float32)[np.newaxis]

    def run_rows(self, stored_B: NDArray[np.generic]) -> NDArray[np.generic]:
        """The scores of each row."""
        return np.concatenate([self.run(stored_1) for stored_1 in stored_B[:, np.newaxis]])


@dataclass
class InProcessEngine:
    """Scores at once, in this process; fails before portion `fail_at`, as if a child had died."""

    fail_at: int = -1
    scored: list[int] = field(default_factory=list)

    def score(self, job: ScoreJob, portions: Iterator[Portion]) -> Scored:
        """See `Engine.score`."""
        scorer = Scorer(job, SumSession(job))
        for portion in portions:
            if portion.span.index == self.fail_at:
                raise ModelError("the child process died of SIGSEGV")
            self.scored.append(portion.span.index)
            yield portion, encode_chunk(scorer.score(portion.span, portion.payload))


class SilentProgress:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.finished_rows = -1
        self.rows: list[int] = []

    def begin(self, *, total_rows: int | None, finished_rows: int) -> None:
        """See `Progress.begin`."""
        assert total_rows is None or total_rows >= finished_rows
        self.finished_rows = finished_rows

    def advance(self, rows: int, fraction: float) -> None:
        """See `Progress.advance`."""
        assert 0 < fraction <= 1
        self.rows.append(rows)

    def write(self) -> None:
        """See `Progress.write`."""
