"""Blobs by HTTP into `blobs/<sha256>`: resumed by Range, bounded in bytes and time, renamed only when the hash holds.

A part that is already there is hashed again before the rest is asked for. When the whole then has a wrong hash, the
part itself may be what is damaged (a power cut), so the blob is fetched once more from its first byte; a wrong
hash of bytes that all came in one go is a refusal, not a fault.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import threading
from typing import TYPE_CHECKING, Final

from device_agent.faults import FetchError, RefusedError
from device_agent.http import open_get, read_chunks
from fleet_contract.errors import StorageError
from fleet_files.durable import cannot_write, sync_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import urllib3

    from device_agent.budget import ByteBudget
    from fleet_contract.release import BlobRef

PART_SUFFIX: Final = ".part"
HTTP_PARTIAL: Final = 206
HTTP_RANGE_UNSATISFIABLE: Final = 416


class HttpBlobs:
    """Downloads blobs of one server.

    Args:
        pool: connections, see `http.open_pool`.
        url: the server.
        token: the device's own.
        folder: where blobs lie, named by their digest.
        min_free_bytes: what must stay free on the disk.
        monotonic: reads a clock that does not jump, in seconds.
    """

    def __init__(
        self,
        pool: urllib3.PoolManager,
        url: str,
        token: str,
        folder: Path,
        *,
        min_free_bytes: int,
        monotonic: Callable[[], float],
    ) -> None:
        self._pool = pool
        self._url = url.rstrip("/") + "/api/v1/blobs/"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._folder = folder
        self._min_free_bytes = min_free_bytes
        self._monotonic = monotonic

    async def fetch(self, blob: BlobRef, budget: ByteBudget) -> None:
        """Returns once the verified blob is on the disk; a cancellation stops the transfer and keeps the part.

        Raises:
            FetchError: it did not come; `retryable` says whether trying again may help.
            RefusedError: its hash does not hold.
            StorageError: no room.
        """
        stop = threading.Event()
        work = asyncio.ensure_future(asyncio.to_thread(self.fetch_now, blob, budget, stop))
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait({work})
            work.exception()
            raise

    def fetch_now(self, blob: BlobRef, budget: ByteBudget, stop: threading.Event) -> None:
        """As `fetch`, blocking; `stop` ends it between two chunks."""
        target = self._folder / blob.sha256
        if target.exists() and file_sha256(target) == blob.sha256:
            return
        part = self._folder / f"{blob.sha256}{PART_SUFFIX}"
        resumed = part.exists() and part.stat().st_size > 0
        self._check_room(blob, part)
        whole = self._transfer(blob, part, budget, stop)
        if not whole and resumed:
            whole = self._transfer(blob, part, budget, stop)
        if not whole:
            raise RefusedError(
                f"blob {blob.name}: the bytes from the server do not have the SHA-256 {blob.sha256}",
                refused="blob",
                code="blob-hash",
                hint="the blob store was tampered with or is damaged; publish the release again",
            )
        part.replace(target)
        sync_folder(self._folder)

    def _transfer(self, blob: BlobRef, part: Path, budget: ByteBudget, stop: threading.Event) -> bool:
        """Completes `part`; when the whole has another hash, removes it and says False."""
        have_bytes = part.stat().st_size if part.exists() else 0
        if have_bytes > blob.size_bytes:
            part.unlink()
            have_bytes = 0
        if have_bytes < blob.size_bytes:
            self._receive(blob, part, have_bytes, budget, stop)
        if part.exists() and part.stat().st_size == blob.size_bytes and file_sha256(part) == blob.sha256:
            return True
        part.unlink(missing_ok=True)
        return False

    def _receive(self, blob: BlobRef, part: Path, have_bytes: int, budget: ByteBudget, stop: threading.Event) -> None:
        url = self._url + blob.sha256
        ranged = {"Range": f"bytes={have_bytes}-", "If-Range": f'"{blob.sha256}"'} if have_bytes else {}
        response = open_get(self._pool, url, {**self._headers, **ranged})
        try:
            start_bytes = start_of(response.status, response.headers.get("Content-Range", ""), have_bytes)
            rest_bytes = blob.size_bytes - start_bytes
            chunks = read_chunks(response, url, max_bytes=rest_bytes, monotonic=self._monotonic)
            received_bytes = append_chunks(part, start_bytes, chunks, budget, stop)
        finally:
            response.close()
        if received_bytes < rest_bytes:
            raise FetchError(f"{url}: got {received_bytes} of {rest_bytes} bytes", code="broken", retryable=True)

    def _check_room(self, blob: BlobRef, part: Path) -> None:
        have_bytes = part.stat().st_size if part.exists() else 0
        free_bytes = shutil.disk_usage(self._folder).free
        needed_bytes = blob.size_bytes - have_bytes + self._min_free_bytes
        if free_bytes < needed_bytes:
            raise StorageError(
                f"blob {blob.name}: got {free_bytes} bytes free, expected {needed_bytes}",
                hint=f"make room in {self._folder}, or lower min_free_mb",
            )


def start_of(status: int, content_range: str, have_bytes: int) -> int:
    """From which byte on a body continues: 206 must continue where we are, any other answer starts anew.

    Raises:
        FetchError: the answer continues elsewhere; trying again starts from what is there.
    """
    if status == HTTP_RANGE_UNSATISFIABLE:
        raise FetchError("download: HTTP 416", code="http-416", retryable=True)
    if status != HTTP_PARTIAL:
        return 0
    if not content_range.startswith(f"bytes {have_bytes}-"):
        raise FetchError(
            f"download: got Content-Range {content_range!r}, expected it to start at {have_bytes}",
            code="bad-range",
            retryable=True,
        )
    return have_bytes


def append_chunks(
    part: Path, start_bytes: int, chunks: Iterator[bytes], budget: ByteBudget, stop: threading.Event
) -> int:
    """Writes `chunks` into `part` from `start_bytes` on and puts them on the disk; returns how many bytes came.

    What came before an error stays, for the next try to continue from.

    Raises:
        FetchError: from the chunks or the budget, or `stop` was set.
        StorageError: the disk is full or cannot be written.
    """
    received_bytes = 0
    try:
        with part.open("r+b" if part.exists() else "w+b") as file:
            file.truncate(start_bytes)
            file.seek(start_bytes)
            try:
                for chunk in chunks:
                    file.write(chunk)
                    received_bytes += len(chunk)
                    budget.spend(len(chunk))
                    if stop.is_set():
                        raise FetchError("download: stopped", code="stopped", retryable=True)
            finally:
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        raise cannot_write(part, error) from error
    return received_bytes


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
