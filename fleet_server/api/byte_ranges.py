"""Range requests on a resource with a strong validator. Pure. Source: RFC 9110, sections 13.1.5 and 14."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_ONE_RANGE: Final = re.compile(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*\Z", re.ASCII)
_MAX_DIGITS: Final = 18


class ByteRange(NamedTuple):
    """Bytes `start` to `end`, both included."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """How many bytes."""
        return self.end - self.start + 1


class UnsatisfiableRangeError(ValueError):
    """The range begins at or after the end: answer 416."""


def chosen_range(header: str, if_range: str, etag: str, size_bytes: int) -> ByteRange | None:
    """The one range to send, or None for the whole: no range, several, a malformed one, or another version's.

    Raises:
        UnsatisfiableRangeError: nothing of it exists.
    """
    if not header or (if_range and if_range != etag):
        return None
    match = _ONE_RANGE.match(header)
    if match is None or max(map(len, match.groups())) > _MAX_DIGITS:
        return None
    first, last = match.groups()
    if first:
        return _from_start(int(first), int(last) if last else size_bytes - 1, size_bytes)
    return _from_end(int(last), size_bytes) if last else None


def _from_start(start: int, end: int, size_bytes: int) -> ByteRange | None:
    if end < start < size_bytes:
        return None
    if start >= size_bytes:
        raise UnsatisfiableRangeError(f"{start} >= {size_bytes}")
    return ByteRange(start, min(end, size_bytes - 1))


def _from_end(length: int, size_bytes: int) -> ByteRange:
    if length == 0 or size_bytes == 0:
        raise UnsatisfiableRangeError(f"last {length} of {size_bytes}")
    return ByteRange(max(0, size_bytes - length), size_bytes - 1)
