"""Signed documents in DSSE form: the signature covers the type and the exact bytes, not a re-encoding.

Pure: this module frames and checks; keys and primitives stay with the caller, as a `Verify` function.
Source: DSSE protocol v1, "Signature Definition" (pre-authentication encoding).
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from fleet_contract.errors import TrustError

if TYPE_CHECKING:
    from collections.abc import Callable

    Verify = Callable[[str, bytes, bytes], bool]
    """(key_id, message, signature) -> whether the key is known and the signature holds."""

DESIRED_TYPE: Final = "application/vnd.edgeferry.desired+json"
COMMAND_TYPE: Final = "application/vnd.edgeferry.command+json"


class DocumentSignature(Struct, frozen=True, kw_only=True):
    """A signature and the id of its key (hex SHA-256 based, as TUF names keys)."""

    key_id: str
    signature: str
    """Base64."""


class SignedDocument(Struct, frozen=True, kw_only=True):
    """An envelope: the payload as base64, its type, and signatures over both."""

    payload_type: str
    payload: str
    signatures: tuple[DocumentSignature, ...]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """The bytes that a signature covers."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def envelope(payload_type: str, payload: bytes, key_id: str, signature: bytes) -> SignedDocument:
    """The envelope of `payload`, whose `signature` covers its pre-authentication encoding."""
    return SignedDocument(
        payload_type=payload_type,
        payload=base64.b64encode(payload).decode(),
        signatures=(DocumentSignature(key_id=key_id, signature=base64.b64encode(signature).decode()),),
    )


def open_envelope(document: SignedDocument, payload_type: str, verify: Verify) -> bytes:
    """The payload, once one signature by a known key holds.

    Raises:
        TrustError: another type, broken base64, or no signature that holds.
    """
    if document.payload_type != payload_type:
        raise TrustError(f"signed document: got type {document.payload_type!r}, expected {payload_type!r}")
    try:
        payload = base64.b64decode(document.payload, validate=True)
        signatures = [(each.key_id, base64.b64decode(each.signature, validate=True)) for each in document.signatures]
    except (binascii.Error, ValueError) as error:
        raise TrustError(f"signed document: broken base64: {error}") from error
    message = pre_authentication_encoding(payload_type, payload)
    if not any(verify(key_id, message, signature) for key_id, signature in signatures):
        raise TrustError(
            f"signed document: none of {len(signatures)} signatures is by a trusted director key",
            hint="the message was tampered with, or this device's trust is older than the server's keys",
        )
    return payload
