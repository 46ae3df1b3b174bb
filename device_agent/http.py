"""HTTP reading with limits: time to connect, time between bytes, a least rate, a most length. Nothing is trusted.

urllib3's errors end here. `read1` returns after one receive, so that a server that drips a byte now and then
meets the least rate instead of holding a thread for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import urllib3
from urllib3.util import Retry, Timeout

from device_agent.faults import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from urllib3 import BaseHTTPResponse

CHUNK_BYTES: Final = 64 * 1024
CONNECT_TIMEOUT_S: Final = 10.0
READ_TIMEOUT_S: Final = 20.0
GRACE_S: Final = 20.0
MIN_BYTES_PER_S: Final = 512
FINAL_STATUS: Final = frozenset({400, 401, 403, 404, 410})
MAX_REDIRECTS: Final = 3


def open_pool(ca_file: str = "") -> urllib3.PoolManager:
    """Connections to the server and its blob store; `ca_file` empty takes the system's authorities."""
    return urllib3.PoolManager(
        ca_certs=ca_file or None,
        timeout=Timeout(connect=CONNECT_TIMEOUT_S, read=READ_TIMEOUT_S),
        maxsize=2,
    )


def open_get(pool: urllib3.PoolManager, url: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
    """The answer to a GET with its body still unread; the token does not follow a redirect to another host.

    Raises:
        FetchError: no answer, or a status of 400 and above; final for those that will not change by asking again.
    """
    retries = Retry(total=MAX_REDIRECTS, connect=0, read=0, status=0, other=0, redirect=MAX_REDIRECTS)
    try:
        response = pool.request(
            "GET",
            url,
            headers={"Accept-Encoding": "identity", **headers},
            preload_content=False,
            decode_content=False,
            retries=retries,
        )
    except urllib3.exceptions.HTTPError as error:
        raise FetchError(f"{url}: no answer: {type(error).__name__}", code="unreachable", retryable=True) from error
    if response.status >= 400 and response.status != 416:
        status = response.status
        response.close()
        raise FetchError(f"{url}: HTTP {status}", code=f"http-{status}", retryable=status not in FINAL_STATUS)
    return response


def read_chunks(
    response: BaseHTTPResponse, url: str, *, max_bytes: int, monotonic: Callable[[], float]
) -> Iterator[bytes]:
    """The body in pieces.

    Raises:
        FetchError: the connection broke, the body is longer than `max_bytes`, or it comes too slowly.
    """
    started_s, received_bytes = monotonic(), 0
    while True:
        try:
            chunk = response.read1(CHUNK_BYTES, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise FetchError(f"{url}: broke off: {type(error).__name__}", code="broken", retryable=True) from error
        if not chunk:
            return
        received_bytes += len(chunk)
        if received_bytes > max_bytes:
            raise FetchError(f"{url}: got more than {max_bytes} bytes", code="too-long", retryable=False)
        elapsed_s = monotonic() - started_s
        if elapsed_s > GRACE_S and received_bytes < (elapsed_s - GRACE_S) * MIN_BYTES_PER_S:
            raise FetchError(f"{url}: below {MIN_BYTES_PER_S} bytes/s", code="too-slow", retryable=True)
        yield chunk
