"""The port behind which portions are scored: on this machine, or on a cluster. Both run the same code on the same rows.

engine.score(job, portions) gives each portion with its chunk, in order
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from converter.predict.children import Children
from converter.process.sandbox import Limits

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from converter.predict.portions import Portion, ScoreJob

    Scored = Generator[tuple[Portion, bytes], None, None]


class Engine(Protocol):
    """Whoever scores portions."""

    def score(self, job: ScoreJob, portions: Iterator[Portion]) -> Scored:
        """Each portion with its chunk, encoded, in the order of the portions; closing it ends the work.

        Raises:
            ModelError: the runtime failed, or a process that ran it died.
        """


@dataclass(frozen=True, slots=True)
class LocalEngine:
    """Child processes of this one, each with one thread of the runtime; the limits are those of one child."""

    workers: int = 1
    limits: Limits = field(default_factory=Limits)

    def score(self, job: ScoreJob, portions: Iterator[Portion]) -> Scored:
        """See `Engine.score`."""
        with (
            TemporaryDirectory(prefix="edgeferry-predict-") as scratch,
            Children(job, count=self.workers, limits=self.limits, scratch=Path(scratch)) as children,
        ):
            yield from children.score(portions)
