"""Pure pieces of TUF metadata that the key maker, the publisher and the server's repository share.

Rules: Ed25519 keys only, consistent snapshots on, expiries as docs/reference/trust.md says. Nothing here reads
a file or a clock.
Source: TUF specification v1.0.33, sections 4 (document formats) and 5.3 to 5.6 (the client's checks).
"""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar

from securesystemslib.signer import CryptoSigner, SSlibKey  # type: ignore[attr-defined]  # public in its documentation
from tuf.api.exceptions import DownloadError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import (  # type: ignore[attr-defined]  # tuf re-exports them without saying so
    DelegatedRole,
    Delegations,
    Metadata,
    MetaFile,
    Role,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError

from fleet_contract.errors import TrustError

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = [
    "DelegatedRole",
    "Delegations",
    "MetaFile",
    "Metadata",
    "Role",
    "Root",
    "Snapshot",
    "TargetFile",
    "Targets",
    "Timestamp",
]

S = TypeVar("S", Root, Timestamp, Snapshot, Targets)

ROOT_LIFETIME: Final = timedelta(days=5 * 365)
TARGETS_LIFETIME: Final = timedelta(days=365)
SNAPSHOT_LIFETIME: Final = timedelta(days=30)
TIMESTAMP_LIFETIME: Final = timedelta(days=7)
DIRECTOR_KEYS_PATH: Final = "director/keys.json"


def release_role(model: str) -> str:
    """The TUF role that signs a model family's releases."""
    return f"release-{model}"


def expires(now: datetime, lifetime: timedelta) -> datetime:
    """When a document signed now expires; TUF knows whole seconds."""
    return (now + lifetime).replace(microsecond=0)


def public_key(key: Ed25519PrivateKey) -> SSlibKey:
    """The public half, named as TUF names keys."""
    return SSlibKey.from_crypto(key.public_key())


def signed_bytes(document: S, *keys: Ed25519PrivateKey) -> bytes:
    """The metadata file of `document`, signed by every key."""
    metadata = Metadata(document)
    for key in keys:
        metadata.sign(CryptoSigner(key), append=True)
    return bytes(metadata.to_bytes())


def parse(data: bytes, kind: type[S], what: str) -> Metadata[S]:
    """The metadata in `data`, whose signatures nobody has checked yet.

    Raises:
        TrustError: it is not TUF metadata of that kind.
    """
    try:
        metadata: Metadata[S] = Metadata[S].from_bytes(data)
    except (DeserializationError, RepositoryError, ValueError) as error:
        raise TrustError(f"{what}: not TUF metadata: {error}") from error
    if not isinstance(metadata.signed, kind):
        raise TrustError(f"{what}: got metadata of type {metadata.signed.type}, expected {kind.__name__.lower()}")
    return metadata


def verify(delegator: Root | Targets, role: str, metadata: Metadata[S], what: str) -> None:
    """Passes when enough keys that `delegator` names for `role` have signed.

    Raises:
        TrustError: they have not.
    """
    try:
        delegator.verify_delegate(role, metadata.signed_bytes, metadata.signatures)
    except (UnsignedMetadataError, DownloadError, RepositoryError, ValueError) as error:
        raise TrustError(f"{what}: {error}", hint=f"sign it with the key of {role}") from error


def director_keys_json(keys: list[Ed25519PrivateKey]) -> bytes:
    """The target `director/keys.json`: ids and public keys of the directors."""
    known = {}
    for key in keys:
        public = public_key(key)
        known[public.keyid] = {
            "keytype": "ed25519",
            "scheme": "ed25519",
            "public": key.public_key().public_bytes_raw().hex(),
        }
    return json.dumps({"keys": known}, indent=1, sort_keys=True).encode()
