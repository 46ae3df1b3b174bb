"""Reading with limits."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, cast

import pytest

from device_agent.faults import FetchError
from device_agent.http import GRACE_S, open_get, open_pool, read_chunks

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3


class Dripping:
    """A body that comes one byte at a time, for ever."""

    def read1(self, amount: int, *, decode_content: bool) -> bytes:
        """One byte."""
        assert amount > 1
        assert not decode_content
        return b"x"


def drip(seconds_a_byte: float) -> Iterator[bytes]:
    """Reads a dripping body by a clock that the test moves."""
    times_s = count(0.0, seconds_a_byte)
    body = cast("urllib3.BaseHTTPResponse", Dripping())
    return read_chunks(body, "http://x", max_bytes=1000, monotonic=lambda: float(next(times_s)))


def test_a_server_that_drips_is_given_up() -> None:
    """One byte every five seconds is below the least rate once the grace has passed."""
    with pytest.raises(FetchError) as caught:
        list(drip(5.0))
    assert (caught.value.code, caught.value.retryable) == ("too-slow", True)


def test_more_than_was_signed_is_given_up() -> None:
    """An endless body ends at the limit, and asking again is pointless."""
    with pytest.raises(FetchError) as caught:
        list(drip(GRACE_S / 1e6))
    assert (caught.value.code, caught.value.retryable) == ("too-long", False)


def test_nobody_at_the_address_is_retryable() -> None:
    """A refused connection is no answer."""
    with pytest.raises(FetchError) as caught:
        open_get(open_pool(), "http://127.0.0.1:9/", {})
    assert (caught.value.code, caught.value.retryable) == ("unreachable", True)
