"""Downloads over real HTTP: resumed, bounded, and never believed before the hash holds."""

from __future__ import annotations

import asyncio
import hashlib
import threading
import time
from typing import TYPE_CHECKING

import pytest

from device_agent.budget import ByteBudget
from device_agent.download import HttpBlobs
from device_agent.faults import FetchError, RefusedError
from device_agent.http import open_pool
from fleet_contract.errors import StorageError
from tests.fakes.agent_http import HttpFake
from tests.fakes.agent_releases import blob_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fleet_contract.release import BlobRef

DATA = bytes(range(256)) * 2000
BLOB = blob_of("model.tflite", DATA)
PATH = f"/api/v1/blobs/{BLOB.sha256}"


@pytest.fixture
def server() -> Iterator[HttpFake]:
    """A server with one blob."""
    with HttpFake() as running:
        running.files[PATH] = DATA
        yield running


def source(server: HttpFake, folder: Path, *, min_free_bytes: int = 0) -> HttpBlobs:
    """The downloader of a device with a token."""
    return HttpBlobs(open_pool(), server.url, "token", folder, min_free_bytes=min_free_bytes, monotonic=time.monotonic)


def fetch(server: HttpFake, folder: Path, budget: ByteBudget | None = None, blob: BlobRef = BLOB) -> None:
    """One try."""
    source(server, folder).fetch_now(blob, budget or ByteBudget(10 * len(DATA)), threading.Event())


def whole(folder: Path) -> bool:
    """Whether the blob is there, alone and right."""
    return [file.name for file in folder.iterdir()] == [BLOB.sha256] and (folder / BLOB.sha256).read_bytes() == DATA


def test_a_blob_arrives_with_the_devices_token(server: HttpFake, tmp_path: Path) -> None:
    """One request; nothing but the verified blob stays in the folder."""
    fetch(server, tmp_path)
    assert whole(tmp_path)
    assert server.requests[0][1]["Authorization"] == "Bearer token"


def test_a_blob_that_is_there_already_is_not_fetched_again(server: HttpFake, tmp_path: Path) -> None:
    """Content addressing saves the link."""
    (tmp_path / BLOB.sha256).write_bytes(DATA)
    fetch(server, tmp_path)
    assert server.requests == []


def test_a_blob_that_rotted_is_fetched_again(server: HttpFake, tmp_path: Path) -> None:
    """The name alone is not believed."""
    (tmp_path / BLOB.sha256).write_bytes(b"rot")
    fetch(server, tmp_path)
    assert whole(tmp_path)


def test_a_transfer_that_broke_off_is_resumed(server: HttpFake, tmp_path: Path) -> None:
    """The second try asks for the rest only, under the strong validator."""
    server.faults = ["break"]
    budget = ByteBudget(len(DATA))
    with pytest.raises(FetchError) as caught:
        fetch(server, tmp_path, budget)
    assert caught.value.retryable
    fetch(server, tmp_path, budget)
    assert whole(tmp_path)
    headers = server.requests[1][1]
    assert headers["Range"] == f"bytes={len(DATA) // 2}-"
    assert headers["If-Range"] == f'"{BLOB.sha256}"'
    assert budget.spent_bytes == len(DATA)


def test_a_server_that_ignores_ranges_starts_anew(server: HttpFake, tmp_path: Path) -> None:
    """200 instead of 206: the part is thrown away, the whole is right."""
    (tmp_path / f"{BLOB.sha256}.part").write_bytes(DATA[:1000])
    server.faults = ["ignore-range"]
    fetch(server, tmp_path)
    assert whole(tmp_path)


def test_a_range_that_starts_elsewhere_is_not_glued_on(server: HttpFake, tmp_path: Path) -> None:
    """A wrong Content-Range is an error, not a corrupt blob."""
    (tmp_path / f"{BLOB.sha256}.part").write_bytes(DATA[:1000])
    server.faults = ["wrong-range"]
    with pytest.raises(FetchError):
        fetch(server, tmp_path)


def test_a_damaged_part_costs_one_more_transfer_and_no_refusal(server: HttpFake, tmp_path: Path) -> None:
    """A power cut may have damaged what was there: from the first byte once more."""
    (tmp_path / f"{BLOB.sha256}.part").write_bytes(b"x" * 1000)
    fetch(server, tmp_path)
    assert whole(tmp_path)


def test_wrong_bytes_are_refused_and_nothing_is_kept(server: HttpFake, tmp_path: Path) -> None:
    """A tampered blob store: integrity, with its own code."""
    server.faults = ["lie"]
    with pytest.raises(RefusedError) as caught:
        fetch(server, tmp_path)
    assert (caught.value.refused, caught.value.code) == ("blob", "blob-hash")
    assert list(tmp_path.iterdir()) == []


def test_a_body_that_is_too_long_is_cut_off(server: HttpFake, tmp_path: Path) -> None:
    """The signed size is the limit: no endless data."""
    server.files[PATH] = DATA + b"more"
    with pytest.raises(FetchError) as caught:
        fetch(server, tmp_path)
    assert caught.value.code == "too-long"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_final_answers_are_final(server: HttpFake, tmp_path: Path, status: int) -> None:
    """No endless loop of asking for what is gone."""
    server.faults = [str(status)]
    with pytest.raises(FetchError) as caught:
        fetch(server, tmp_path)
    assert (caught.value.code, caught.value.retryable) == (f"http-{status}", False)


def test_a_server_in_trouble_is_retryable(server: HttpFake, tmp_path: Path) -> None:
    """503 may pass."""
    server.faults = ["503"]
    with pytest.raises(FetchError) as caught:
        fetch(server, tmp_path)
    assert caught.value.retryable


def test_the_byte_cap_of_a_deployment_holds(server: HttpFake, tmp_path: Path) -> None:
    """Metered link: no byte more than allowed beyond the chunk in hand, and final."""
    with pytest.raises(FetchError) as caught:
        fetch(server, tmp_path, ByteBudget(1000))
    assert (caught.value.code, caught.value.retryable) == ("byte-cap", False)


def test_a_full_disk_is_noticed_before_the_first_byte(server: HttpFake, tmp_path: Path) -> None:
    """The room that must stay free is checked first."""
    with pytest.raises(StorageError):
        source(server, tmp_path, min_free_bytes=2**60).fetch_now(BLOB, ByteBudget(2**40), threading.Event())
    assert server.requests == []


def test_a_canceled_download_keeps_its_part(server: HttpFake, tmp_path: Path) -> None:
    """A superseded transfer stops soon and leaves nothing that passes for a blob."""

    async def story() -> None:
        work = asyncio.create_task(source(server, tmp_path).fetch(BLOB, ByteBudget(10 * len(DATA))))
        await asyncio.sleep(0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(story())
    for file in tmp_path.iterdir():
        assert file.name.endswith(".part") or hashlib.sha256(file.read_bytes()).hexdigest() == file.name
