"""Trust through real python-tuf over real HTTP: what is genuine, what is refused, what expires."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from device_agent.faults import FetchError, RefusedError
from device_agent.http import open_pool
from device_agent.trust import TufTrust
from tests.fakes.agent_http import HttpFake
from tests.fakes.agent_releases import make_release
from tests.fakes.agent_tuf import BASE, TufFake, new_signer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RELEASE = make_release(1)


class Bench:
    """A server with one release and a client whose clock the test moves."""

    def __init__(self, folder: Path, server: HttpFake) -> None:
        self.folder = folder
        self.server = server
        self.repository = TufFake(server)
        self.repository.add_release(RELEASE)
        self.repository.publish()
        self.late = timedelta(0)

    def client(self) -> TufTrust:
        """A client as after a restart."""
        return TufTrust(
            self.folder,
            self.repository.root,
            open_pool(),
            self.server.url,
            now=lambda: datetime.now(UTC) + self.late,
            monotonic=time.monotonic,
        )

    def release(self, version: int = 1) -> bytes:
        """The manifest that a fresh client gets."""
        return asyncio.run(self.client().release("eye", version))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """A bench with a running server."""
    with HttpFake() as server:
        yield Bench(tmp_path, server)


def refusal(bench: Bench, version: int = 1) -> tuple[str, str]:
    """What is refused, and its code."""
    with pytest.raises(RefusedError) as caught:
        bench.release(version)
    return caught.value.refused, caught.value.code


def test_a_signed_release_is_given_byte_for_byte(bench: Bench) -> None:
    """And a second time from the cache, after fresh metadata."""
    assert bench.release() == RELEASE.data
    assert bench.release() == RELEASE.data


def test_the_directors_of_the_moment_are_known(bench: Bench) -> None:
    """Their signatures hold; others, and changed messages, do not."""
    client = bench.client()
    director = bench.repository.director
    key_id, signature = director.public_key.keyid, bytes.fromhex(director.sign(b"message").signature)
    assert not client.knows(key_id)
    asyncio.run(client.refresh())
    assert client.verify(key_id, b"message", signature)
    assert not client.verify(key_id, b"massage", signature)
    assert not client.verify("stranger", b"message", signature)
    assert not client.verify(key_id, b"message", b"short")


def test_directors_are_known_after_a_restart_without_network(bench: Bench) -> None:
    """What was verified once is kept on the disk."""
    asyncio.run(bench.client().refresh())
    bench.server.files.clear()
    assert bench.client().knows(bench.repository.director.public_key.keyid)


def test_a_revoked_director_is_forgotten(bench: Bench) -> None:
    """New targets metadata without its key end its power at the next refresh."""
    client, old = bench.client(), bench.repository.director.public_key.keyid
    asyncio.run(client.refresh())
    bench.repository.director = new_signer()
    bench.repository.publish()
    asyncio.run(client.refresh())
    assert not client.knows(old)
    assert client.knows(bench.repository.director.public_key.keyid)


def test_expired_metadata_are_refused_with_their_own_code(bench: Bench) -> None:
    """A frozen server cannot start anything new; the effective clock decides, not the system's."""
    bench.repository.expires["timestamp"] = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    bench.repository.publish()
    assert bench.release() == RELEASE.data
    bench.late = timedelta(days=8)
    assert refusal(bench) == ("metadata", "metadata-expired")


def test_a_release_that_is_not_among_the_targets_is_refused(bench: Bench) -> None:
    """Nobody signed version 2."""
    assert refusal(bench, 2) == ("release", "not-signed")


def test_a_manifest_with_other_bytes_is_refused(bench: Bench) -> None:
    """The signed hash does not hold; nothing of it is used."""
    bench.server.files[bench.repository.target_url(RELEASE)] = RELEASE.data.replace(b"eye", b"ear")
    assert refusal(bench) == ("release", "hash")


def test_metadata_signed_by_a_stranger_are_refused(bench: Bench) -> None:
    """A server with keys of its own convinces nobody."""
    bench.repository._signers["timestamp"] = new_signer()
    bench.repository.publish()
    assert refusal(bench) == ("metadata", "metadata-invalid")


def test_old_metadata_are_refused(bench: Bench) -> None:
    """Rollback of metadata: an older timestamp than the one already seen."""
    old = bench.server.files[f"{BASE}/metadata/timestamp.json"]
    bench.repository.publish()
    bench.release()
    bench.server.files[f"{BASE}/metadata/timestamp.json"] = old
    assert refusal(bench) == ("metadata", "metadata-invalid")


def test_a_server_that_is_away_is_retryable(bench: Bench) -> None:
    """No answer is no refusal."""
    bench.server.faults = ["503"] * 3
    with pytest.raises(FetchError) as caught:
        bench.release()
    assert caught.value.retryable


def test_freshness_is_remembered(bench: Bench) -> None:
    """The age of metadata survives a restart."""
    assert bench.client().checked_at is None
    bench.release()
    assert bench.client().checked_at is not None
