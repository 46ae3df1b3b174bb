"""A progress that remembers what it heard, and can stop a run where a test wants it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class RecordingProgress:
    """Keeps stages, remarks and figures of epochs; calls `on_stage` with each stage's name."""

    def __init__(self, on_stage: Callable[[str], None] | None = None) -> None:
        self.stages: list[str] = []
        self.remarks: list[str] = []
        self.epochs: list[dict[str, float]] = []
        self._on_stage = on_stage

    def stage(self, name: str) -> None:
        """Remembers the stage."""
        self.stages.append(name)
        if self._on_stage is not None:
            self._on_stage(name)

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Remembers the figures."""
        assert 1 <= done <= total
        self.epochs.append(dict(figures))

    def remark(self, text: str) -> None:
        """Remembers the sentence."""
        self.remarks.append(text)
