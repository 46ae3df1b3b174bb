"""Publishing: a bundle gets its version, its blobs go up, and the release key signs it into the family's targets.

The order makes an interruption harmless: blobs first (content-addressed, idempotent), then one request that the
server takes whole or not at all.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgeferry.overrides import accepted_verdict
from fleet_contract.api import ReleasePublish, ReleaseView
from fleet_contract.codec import encode
from fleet_contract.errors import ContractError, NotFoundError
from fleet_contract.names import Sha256
from fleet_contract.release import BlobRef, ReleaseManifest, check_release

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from fleet_client import FleetClient


def publish_bundle(
    client: FleetClient,
    manifest: ReleaseManifest,
    blobs: Path,
    *,
    release_key: Path,
    now: datetime,
    say: Callable[[str], None],
    accepted_by: str = "",
) -> ReleaseView:
    """Publishes a bundle under the model's next free version.

    Args:
        client: with a publisher's token.
        manifest: of the bundle; its version is replaced.
        blobs: folder with one file a SHA-256.
        release_key: PEM file of the model family's release key.
        now: for the signature's expiry.
        say: told what goes on.
        accepted_by: who publishes a release although its verdict was overridden; empty refuses such a release.

    Raises:
        GateError: the verdict did not pass, and nobody overrode it or the publisher did not accept that.
        ConflictError: somebody else published meanwhile; try again.
        TrustError: the key is not the family's, or the server's metadata are not signed by it.
    """
    from fleet_server.release_signing import sign_release_targets

    verdict = accepted_verdict(manifest, accepted_by=accepted_by, release_key=release_key)
    release = msgspec.structs.replace(manifest, version=next_version(client, manifest.model), verdict=verdict)
    check_release(release)
    data = encode(release)
    _upload(client, release, blobs, data, say)
    say(f"signing {release.model} v{release.version} with {release_key.name}")
    targets_json = sign_release_targets(
        current_targets(client, release.model),
        release_key,
        model=release.model,
        version=release.version,
        manifest_bytes=data,
        now=now,
    )
    return client.publish(
        ReleasePublish(release_sha256=Sha256(hashlib.sha256(data).hexdigest()), targets_json=targets_json)
    )


def next_version(client: FleetClient, model: str) -> int:
    """One more than the newest version of the model."""
    newest = next(client.releases(model=model), None)
    return newest.version + 1 if newest else 1


class _Meta(msgspec.Struct):
    version: int


class _Signed(msgspec.Struct):
    meta: dict[str, _Meta]


class _Metadata(msgspec.Struct):
    signed: _Signed


def current_targets(client: FleetClient, model: str) -> str:
    """The family's targets metadata as the server has them now; `sign_release_targets` checks the signature.

    Raises:
        NotFoundError: the fleet knows no such family.
    """
    timestamp = _metadata(client.trust_metadata("timestamp.json"))
    snapshot = _metadata(client.trust_metadata(f"{timestamp.signed.meta['snapshot.json'].version}.snapshot.json"))
    role = f"release-{model}.json"
    if role not in snapshot.signed.meta:
        raise NotFoundError(
            f"the fleet's keys know no model {model!r}", hint=f"edgeferry keys delegate --keys KEYS --model {model}"
        )
    return client.trust_metadata(f"{snapshot.signed.meta[role].version}.{role}").decode()


def _metadata(data: bytes) -> _Metadata:
    try:
        return msgspec.json.decode(data, type=_Metadata)
    except msgspec.DecodeError as error:
        raise ContractError(f"TUF metadata from the server: {error}") from error


def _upload(
    client: FleetClient, release: ReleaseManifest, blobs: Path, data: bytes, say: Callable[[str], None]
) -> None:
    for blob in release.blobs():
        say(f"uploading {blob.name} ({blob.size_bytes:,} bytes)")
        client.put_blob(blob, blobs / blob.sha256)
    with tempfile.TemporaryDirectory(prefix="edgeferry-") as folder:
        file = Path(folder) / "release.json"
        file.write_bytes(data)
        digest = Sha256(hashlib.sha256(data).hexdigest())
        client.put_blob(BlobRef(sha256=digest, size_bytes=len(data), name="release.json"), file)
