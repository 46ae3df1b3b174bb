"""Releases, blobs and trust over the real API, seen by a real TUF client."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
import urllib3
from msgspec import structs
from tuf.ngclient import Updater  # type: ignore[attr-defined]  # public in its documentation

from fleet_contract.api import ReleasePublish
from fleet_contract.codec import encode
from fleet_contract.errors import ConflictError, ContractError, DataError, GateError, NotFoundError, TrustError
from fleet_contract.release import BlobRef, GateResult, Verdict
from fleet_server.keys import delegate
from tests.fakes.server_core import put, release, serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.server_core import TestServer

POOL = urllib3.PoolManager()


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestServer]:
    """A running server with releases 1 and 2 of a model."""
    with serving(tmp_path_factory.mktemp("releases")) as running:
        running.publish(release(1))
        running.publish(release(2))
        yield running


def test_a_tuf_client_gets_what_was_published(server: TestServer, tmp_path: Path) -> None:
    """python-tuf over HTTP, from the pinned root to the manifest's bytes."""
    downloads = tmp_path / "targets"
    downloads.mkdir()
    updater = Updater(
        str(tmp_path),
        f"{server.url}/api/v1/trust/metadata/",
        str(downloads),
        f"{server.url}/api/v1/trust/targets/",
        bootstrap=server.client("").trust_metadata("1.root.json"),
    )
    updater.refresh()
    target = updater.get_targetinfo("models/digits/2/release.json")
    assert target is not None
    with open(updater.download_target(target), "rb") as file:  # noqa: PTH123 -- what the client gives
        assert file.read() == encode(release(2))
    assert updater.get_targetinfo("director/keys.json") is not None


def test_releases_are_listed_found_by_alias_and_never_change(server: TestServer) -> None:
    """Newest first; an alias moves; the same version with another manifest is a conflict."""
    client = server.client()
    assert [view.version for view in client.releases(model="digits")] == [2, 1]
    assert list(client.releases(model="nothing")) == []
    assert client.set_alias("digits", "champion", 1).aliases == ("champion",)
    assert client.set_alias("digits", "champion", 2).aliases == ("champion",)
    assert client.release("digits", "champion").version == 2
    assert client.release("digits", 1).aliases == ()
    assert server.publish(release(2)).version == 2
    with pytest.raises(ConflictError):
        server.publish(release(2, labels=("ja", "nein")))
    for model, version in (("digits", 9), ("digits", "challenger"), ("nothing", 1)):
        with pytest.raises(NotFoundError):
            client.release(model, version)
    with pytest.raises(ContractError):
        client.set_alias("digits", "7", 1)


def test_a_release_without_its_evidence_or_blobs_stays_out(server: TestServer) -> None:
    """Nothing is registered that a device would have to refuse."""
    failed = Verdict(passed=False, gates=(GateResult(gate="champion", passed=False, measured=0.1, threshold=0.2),))
    with pytest.raises(GateError, match="champion"):
        server.publish(release(3, verdict=failed))
    missing = release(3, golden=BlobRef(sha256="9" * 64, size_bytes=3, name="golden.npz"))
    with pytest.raises(NotFoundError, match="golden"):
        server.publish(missing)
    golden = structs.replace(release(3).golden, size_bytes=999)
    with pytest.raises(DataError, match="999"):
        server.publish(release(3, golden=golden))
    overruled = Verdict(passed=False, gates=(), override="ann: the champion cannot see at night at all")
    assert server.publish(release(3, verdict=overruled)).version == 3


def test_a_release_signed_by_nobody_or_not_uploaded_is_refused(server: TestServer) -> None:
    """The family's signature is checked, and the manifest must be here."""
    client = server.client()
    digest = put(client, encode(release(4)), server.folder)
    with pytest.raises(NotFoundError):
        client.publish(ReleasePublish(release_sha256="8" * 64, targets_json="{}"))
    for content in release(4).blobs():
        assert content.sha256
    with pytest.raises((TrustError, NotFoundError)):
        client.publish(ReleasePublish(release_sha256=digest, targets_json="{}"))


def test_a_new_family_comes_by_offline_delegation(server: TestServer) -> None:
    """`keys delegate`, `PUT /trust/targets`, publish."""
    file = delegate(server.keys, "wear", now=datetime.now(UTC))
    with pytest.raises(TrustError):
        server.publish(release(1, model="wear"))
    server.client().put_targets(file.read_bytes())
    assert server.publish(release(1, model="wear")).model == "wear"


def test_a_blob_comes_back_whole_in_parts_and_only_if_it_is_still_the_same(server: TestServer) -> None:
    """Range, If-Range, If-None-Match and 416 as RFC 9110 says, with the hash as a strong validator."""
    content = bytes(range(256)) * 9000
    client = server.client()
    digest = put(client, content, server.folder)
    put(client, content, server.folder)
    assert client.get_blob(digest) == content
    address = f"{server.url}/api/v1/blobs/{digest}"
    auth = {"Authorization": f"Bearer {server.enrol('pi-blob').http_token}"}
    part = POOL.request("GET", address, headers=auth | {"Range": "bytes=1000-", "If-Range": f'"{digest}"'})
    assert (part.status, part.data) == (206, content[1000:])
    assert part.headers["Content-Range"] == f"bytes 1000-{len(content) - 1}/{len(content)}"
    assert part.headers["ETag"] == f'"{digest}"'
    other = POOL.request("GET", address, headers=auth | {"Range": "bytes=1000-", "If-Range": '"other"'})
    assert (other.status, len(other.data)) == (200, len(content))
    beyond = POOL.request("GET", address, headers=auth | {"Range": f"bytes={len(content)}-"})
    assert (beyond.status, beyond.headers["Content-Range"]) == (416, f"bytes */{len(content)}")
    known = POOL.request("GET", address, headers=auth | {"If-None-Match": f'"{digest}"'})
    assert (known.status, known.data) == (304, b"")


def test_a_blob_with_another_hash_is_refused_and_nothing_is_left(server: TestServer) -> None:
    """The address is the content, or there is no blob."""
    client = server.client()
    wrong = hashlib.sha256(b"what it should be").hexdigest()
    file = server.folder / "wrong"
    file.write_bytes(b"what it is")
    with pytest.raises(DataError):
        client.put_blob(BlobRef(sha256=wrong, size_bytes=10, name="x"), file)
    assert not client.has_blob(wrong)
    assert list((server.folder / "state" / "blobs" / "incoming").iterdir()) == []
    with pytest.raises(ContractError, match="sha256"):
        client._transport.request("PUT", "/api/v1/blobs/..%5C..%5Cetc", body=b"x")


def test_a_blob_above_the_limit_is_cut_off(tmp_path: Path) -> None:
    """`max_blob_bytes` holds while bytes still come in."""
    with serving(tmp_path, max_blob_bytes=1000) as small, pytest.raises(ContractError, match="max_blob_bytes"):
        put(small.client(), b"x" * 1001, tmp_path)
