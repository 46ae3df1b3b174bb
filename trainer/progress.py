"""How a run tells what it is doing: a port, so that a terminal, a log or a lease can listen.

Whatever an implementation raises stops the run; that is how a lost lease ends it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Progress(Protocol):
    """Hears of a run's stages, epochs and remarks, in the order in which they happen."""

    def stage(self, name: str) -> None:
        """A stage begins; the one before it has ended."""

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """An epoch of training has ended, with its losses and accuracies."""

    def remark(self, text: str) -> None:
        """Something that a person should know, in a sentence."""


class Silent:
    """A progress that tells nobody."""

    def stage(self, name: str) -> None:
        """Says nothing."""

    def epoch(self, done: int, total: int, figures: Mapping[str, float]) -> None:
        """Says nothing."""

    def remark(self, text: str) -> None:
        """Says nothing."""
