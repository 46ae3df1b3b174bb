"""python-tuf's port for fetching, over our bounded HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient.fetcher import FetcherInterface

from device_agent.faults import FetchError
from device_agent.http import open_get, read_chunks
from fleet_contract.release import MAX_RELEASE_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import urllib3

MAX_FILE_BYTES = max(5_000_000, MAX_RELEASE_BYTES)
"""The largest metadata file that python-tuf asks for; it enforces the tighter limit of each file itself."""


class BoundedFetcher(FetcherInterface):
    """Fetches with time-outs, a least rate and a most length."""

    def __init__(self, pool: urllib3.PoolManager, monotonic: Callable[[], float]) -> None:
        self._pool = pool
        self._monotonic = monotonic

    def _fetch(self, url: str) -> Iterator[bytes]:
        """The body of `url`, opened now so that an HTTP error is met before the first chunk."""
        try:
            response = open_get(self._pool, url, {})
        except FetchError as error:
            if error.code.startswith("http-"):
                raise DownloadHTTPError(error.message, int(error.code.removeprefix("http-"))) from error
            raise DownloadError(error.message) from error
        return self._chunks(response, url)

    def _chunks(self, response: urllib3.BaseHTTPResponse, url: str) -> Iterator[bytes]:
        try:
            yield from read_chunks(response, url, max_bytes=MAX_FILE_BYTES, monotonic=self._monotonic)
        except FetchError as error:
            raise DownloadError(error.message) from error
        finally:
            response.close()
