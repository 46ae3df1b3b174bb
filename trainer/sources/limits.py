"""What data to train on may be at most, and the one way in which several faults of a source are told together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.errors import DataError
from fleet_rows.limits import MAX_NAMED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MAX_CATEGORIES: Final = 1_000
"""More distinct words than this are free text or an identifier, not a category."""
MAX_CLASSES: Final = 10_000


def require_fits(what: str, size_bytes: int, max_bytes: int) -> None:
    """Passes when inputs of `size_bytes` may be held in memory.

    Raises:
        DataError: they may not.
    """
    if size_bytes > max_bytes:
        raise DataError(
            f"{what}: got {size_bytes:,} bytes in memory, expected at most {max_bytes:,}",
            hint="take fewer columns or smaller images, or raise [data] max_bytes",
        )


def require_flawless(source: object, flaws: Sequence[str], *, count: int = 0, hint: str = "") -> None:
    """Passes when there are no `flaws`; `count` says how many there are where only some are given.

    Raises:
        DataError: there are; the first few are named, all are counted.
    """
    total = max(count, len(flaws))
    _require_none(source, _lines(flaws, total), total, hint)


def require_no_faults(source: object, faults: Mapping[str, Sequence[str]], *, hint: str = "") -> None:
    """Passes when there are none of any kind; a kind is what ends the words "and 7 more".

    Raises:
        DataError: there are; the first few of each kind are named, all are counted.
    """
    total = sum(map(len, faults.values()))
    lines = [line for kind, flaws in faults.items() for line in _lines(flaws, len(flaws), kind)]
    _require_none(source, lines, total, hint)


def _lines(flaws: Sequence[str], total: int, kind: str = "") -> list[str]:
    more = [f"and {total - MAX_NAMED:,} more {kind}".rstrip()] if total > MAX_NAMED else []
    return [*flaws[:MAX_NAMED], *more]


def _require_none(source: object, lines: Sequence[str], total: int, hint: str) -> None:
    if total == 1:
        raise DataError(f"{source}: {lines[0]}", hint=hint)
    if total:
        listed = "".join(f"\n  {line}" for line in lines)
        raise DataError(f"{source}: got {total:,} faults, expected none:{listed}", hint=hint)
