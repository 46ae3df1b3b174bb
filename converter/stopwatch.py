"""Times the stages of a conversion on their way to whoever watches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.report.figures import StageTime

if TYPE_CHECKING:
    from collections.abc import Callable

    from converter.progress import Progress


class Stopwatch:
    """A Progress that passes everything on, and remembers the time of each stage and every remark."""

    def __init__(self, progress: Progress, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._clock = clock
        self._begun: list[tuple[str, float]] = []
        self.remarks: list[str] = []

    def stage(self, name: str) -> None:
        """A stage begins; the one before it has ended."""
        self._begun.append((name, self._clock()))
        self._progress.stage(name)

    def remark(self, text: str) -> None:
        """Something that a person should know."""
        self.remarks.append(text)
        self._progress.remark(text)

    def times(self) -> tuple[StageTime, ...]:
        """The stages so far; the last one until now."""
        starts = [started for _, started in self._begun]
        ends = [*starts[1:], self._clock()]
        return tuple(
            StageTime(name=name, duration_s=round(end - started, 3))
            for (name, started), end in zip(self._begun, ends, strict=True)
        )
