"""What a source may be at most, and the one way in which several faults of a source are told together.

A limit is there so that a hostile or mistaken file is refused in a moment, without the memory it asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fleet_contract.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_COLUMNS: Final = 16_384
MAX_HEADER_BYTES: Final = 4 * 1024**2
MAX_ROW_BYTES: Final = 8 * 1024**2
MAX_CATEGORIES: Final = 1_000
"""More distinct words than this are free text or an identifier, not a category."""
MAX_CLASSES: Final = 10_000
MAX_PIXELS: Final = 64 * 1024**2
MAX_ENCODED_IMAGE_BYTES: Final = 256 * 1024**2
MAX_NAMED: Final = 5


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
