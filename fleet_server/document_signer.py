"""Signs documents for devices with one Ed25519 key, named the way TUF names keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import SSlibKey  # type: ignore[attr-defined]  # public in its documentation

from fleet_contract.codec import encode
from fleet_contract.errors import TrustError
from fleet_contract.signing import envelope, pre_authentication_encoding

if TYPE_CHECKING:
    from pathlib import Path


class DocumentSigner:
    """The director's key in use."""

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id: str = SSlibKey.from_crypto(key.public_key()).keyid

    @classmethod
    def load(cls, pem: Path) -> DocumentSigner:
        """The signer of the key in the PEM file.

        Raises:
            TrustError: the file is missing, unreadable or holds another kind of key.
        """
        return cls(load_ed25519(pem))

    def sign(self, payload_type: str, document: object) -> bytes:
        """The bytes of the signed envelope of `document`."""
        payload = encode(document)
        signature = self._key.sign(pre_authentication_encoding(payload_type, payload))
        return encode(envelope(payload_type, payload, self.key_id, signature))


def load_ed25519(pem: Path) -> Ed25519PrivateKey:
    """The Ed25519 private key in the PEM file.

    Raises:
        TrustError: the file is missing, unreadable or holds another kind of key.
    """
    try:
        key = load_pem_private_key(pem.read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as error:
        raise TrustError(f"key {pem}: {error}", hint="`edgeferry keys init` makes a set of keys") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustError(f"key {pem}: got {type(key).__name__}, expected an Ed25519 private key")
    return key
