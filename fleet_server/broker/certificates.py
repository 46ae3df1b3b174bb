"""The broker's own certificate and the gateway's, issued by the fleet CA at each start, with fresh keys.

They need no storage beyond this run: only the CA key lasts, and it stays where it is.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet_contract.errors import TrustError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from fleet_server.broker.running import BrokerTls

LIFETIME: Final = timedelta(days=397)
BACKDATE: Final = timedelta(days=1)
"""A device whose clock is behind must still take the certificate."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its private key, as PEM."""

    cert_pem: bytes
    key_pem: bytes


class Issuer:
    """The fleet CA in use."""

    def __init__(self, tls: BrokerTls) -> None:
        """Reads the CA.

        Raises:
            TrustError: its files are missing, unreadable, or not an EC key and its certificate.
        """
        try:
            self._cert = x509.load_pem_x509_certificate(tls.ca_cert.read_bytes())
            key = load_pem_private_key(tls.ca_key.read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise TrustError(
                f"fleet CA {tls.ca_key}: {error}", hint="`edgeferry keys init` makes a set of keys"
            ) from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != self._cert.public_key():
            raise TrustError(f"fleet CA {tls.ca_key}: the key is not the one of {tls.ca_cert}")
        self._key = key

    def server(self, hosts: Sequence[str], now: datetime) -> Issued:
        """A server certificate for these host names and addresses."""
        names = [_general_name(host) for host in dict.fromkeys(hosts)]
        return self._issue(hosts[0], ExtendedKeyUsageOID.SERVER_AUTH, now, x509.SubjectAlternativeName(names))

    def client(self, common_name: str, now: datetime) -> Issued:
        """A client certificate whose subject the broker takes as user name."""
        return self._issue(common_name, ExtendedKeyUsageOID.CLIENT_AUTH, now, None)

    def _issue(
        self, common_name: str, usage: x509.ObjectIdentifier, now: datetime, names: x509.SubjectAlternativeName | None
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._cert.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - BACKDATE)
            .not_valid_after(now + LIFETIME)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(authority_key, critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(
            certificate.public_bytes(Encoding.PEM),
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
