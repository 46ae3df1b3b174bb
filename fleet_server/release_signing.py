"""The publisher's side: signs a model family's targets metadata with its release key, one manifest more.

It needs no server, only the family's current metadata: the key may live on a machine that the server never sees.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.errors import ConflictError
from fleet_contract.names import parse_name
from fleet_contract.release import release_target_path
from fleet_server.document_signer import load_ed25519
from fleet_server.tuf_documents import TARGETS_LIFETIME, TargetFile, Targets, expires, parse, release_role, signed_bytes

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path


def sign_release_targets(
    current_targets_json: bytes | str | None,
    release_key_pem: Path,
    *,
    model: str,
    version: int,
    manifest_bytes: bytes,
    now: datetime,
) -> str:
    """The family's next targets metadata: all it had and the manifest of `version`.

    `current_targets_json` is the server's newest `release-MODEL.json`, None where there is none yet.

    Raises:
        TrustError: the key or the current metadata cannot be read.
        ConflictError: that version is signed already, for another manifest.
    """
    role = release_role(parse_name(model, "model"))
    targets = _current(current_targets_json, role)
    path = release_target_path(model, version)
    target = TargetFile.from_data(path, manifest_bytes, ["sha256"])
    existing = targets.targets.get(path)
    if existing is not None and existing.hashes != target.hashes:
        raise ConflictError(f"release {model} v{version}: is signed for another manifest", hint="raise the version")
    targets.targets[path] = target
    targets.version += 1
    targets.expires = expires(now, TARGETS_LIFETIME)
    return signed_bytes(targets, load_ed25519(release_key_pem)).decode()


def _current(targets_json: bytes | str | None, role: str) -> Targets:
    if targets_json is None:
        empty = Targets()
        empty.version = 0  # the next one is the first; TUF counts from 1
        return empty
    data = targets_json.encode() if isinstance(targets_json, str) else targets_json
    return parse(data, Targets, role).signed
