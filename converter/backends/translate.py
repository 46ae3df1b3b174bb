"""Errors of the conversion tools, which raise whatever they like, turned into ours at the seam."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from fleet_contract.errors import EdgeferryError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

_MAX_CHARACTERS = 400


@contextmanager
def tool_errors(what: str) -> Iterator[None]:
    """Turns every foreign exception inside the block into a ModelError that begins with `what`."""
    try:
        yield
    except EdgeferryError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:_MAX_CHARACTERS]
        raise ModelError(f"{what}: {type(error).__name__}: {text}") from error
