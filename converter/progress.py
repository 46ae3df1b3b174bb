"""The port through which a conversion tells how far it is."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Who watches a conversion. Calls come from the thread that called `convert`."""

    def stage(self, name: str) -> None:
        """A stage with that name begins; the one before it has ended."""

    def remark(self, text: str) -> None:
        """Something that a person should know but that stops nothing."""
