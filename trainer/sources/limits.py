"""What data to train on may be at most, and the one way in which several faults of a source are told together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.errors import DataError
from fleet_rows.limits import MAX_NAMED

if TYPE_CHECKING:
    from collections.abc import Sequence

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
    if not flaws:
        return
    total = max(count, len(flaws))
    if total == 1:
        raise DataError(f"{source}: {flaws[0]}", hint=hint)
    lines = "".join(f"\n  {flaw}" for flaw in flaws[:MAX_NAMED])
    more = f"\n  and {total - MAX_NAMED:,} more" if total > MAX_NAMED else ""
    raise DataError(f"{source}: got {total:,} faults, expected none:{lines}{more}", hint=hint)
