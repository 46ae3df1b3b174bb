"""Range requests, case by case from RFC 9110."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet_server.api.byte_ranges import ByteRange, UnsatisfiableRangeError, chosen_range

ETAG = '"abc"'


@pytest.mark.parametrize(
    ("header", "if_range", "expected"),
    [
        ("", "", None),
        ("bytes=0-0", "", ByteRange(0, 0)),
        ("bytes=10-", "", ByteRange(10, 99)),
        ("bytes=10-500", "", ByteRange(10, 99)),
        ("bytes=-5", "", ByteRange(95, 99)),
        ("bytes=-500", "", ByteRange(0, 99)),
        ("bytes=5-", ETAG, ByteRange(5, 99)),
        ("bytes=5-", '"other"', None),
        ("bytes=5-", 'W/"abc"', None),
        ("bytes=9-5", "", None),
        ("bytes=0-1,3-4", "", None),
        ("items=0-1", "", None),
        ("bytes=-", "", None),
        ("bytes=a-b", "", None),
        ("bytes=" + "9" * 40 + "-", "", None),
    ],
)
def test_a_header_chooses_a_range_or_the_whole(header: str, if_range: str, expected: ByteRange | None) -> None:
    """Each form of the header on a resource of 100 bytes."""
    assert chosen_range(header, if_range, ETAG, 100) == expected


@pytest.mark.parametrize("header", ["bytes=100-", "bytes=100-200", "bytes=500-300", "bytes=-0"])
def test_a_range_beyond_the_end_cannot_be_satisfied(header: str) -> None:
    """It is answered by 416, not by something else."""
    with pytest.raises(UnsatisfiableRangeError):
        chosen_range(header, "", ETAG, 100)


@given(header=st.text(max_size=40), size_bytes=st.integers(0, 10_000))
def test_any_header_gives_bytes_that_exist_or_none(header: str, size_bytes: int) -> None:
    """No header makes the server read outside the resource."""
    for text in (header, f"bytes={header}"):
        try:
            chosen = chosen_range(text, "", ETAG, size_bytes)
        except UnsatisfiableRangeError:
            continue
        assert chosen is None or 0 <= chosen.start <= chosen.end < size_bytes
