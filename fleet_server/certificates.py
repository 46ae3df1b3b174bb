"""X.509 of the fleet: its own P-256 authority and the certificates that it issues.

Devices get client certificates for keys of their own; the broker and the gateway get theirs with fresh keys, for one
run. Pure: requests and keys in, PEM out; the time is an argument.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fleet_contract.errors import ContractError, TrustError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

AUTHORITY_LIFETIME: Final = timedelta(days=10 * 365)
DEVICE_LIFETIME: Final = timedelta(days=90)
SERVICE_LIFETIME: Final = timedelta(days=397)
BACKDATE: Final = timedelta(days=1)
"""A device whose clock is behind must still take a certificate."""
MAX_REQUEST_BYTES: Final = 16 * 1024
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH


@dataclass(frozen=True, slots=True)
class DeviceCertificate:
    """A certificate that the authority has just written."""

    pem: str
    serial: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate and its fresh private key, as PEM."""

    cert_pem: bytes
    key_pem: bytes


def new_authority(now: datetime) -> tuple[bytes, bytes]:
    """A fresh authority: its private key and its certificate, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("edgeferry fleet CA")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(name, name, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _private_pem(key), certificate.public_bytes(Encoding.PEM)


class Authority:
    """The fleet's authority in use."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
        self._key = key
        self._certificate = certificate

    @classmethod
    def load(cls, key_file: Path, certificate_file: Path) -> Authority:
        """The authority in two PEM files.

        Raises:
            TrustError: one is missing or unreadable, or they do not belong together.
        """
        try:
            key = load_pem_private_key(key_file.read_bytes(), password=None)
            certificate = x509.load_pem_x509_certificate(certificate_file.read_bytes())
        except (OSError, ValueError, TypeError) as error:
            raise TrustError(f"fleet CA {key_file}: {error}", hint="`edgeferry keys init` makes one") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise TrustError(f"fleet CA: {key_file} is not the key of {certificate_file}")
        return cls(key, certificate)

    @property
    def certificate_pem(self) -> str:
        """The authority's own certificate."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def certify(self, request: x509.CertificateSigningRequest, device_id: str, now: datetime) -> DeviceCertificate:
        """A client certificate for the request's key; the subject is ours, whatever the request says."""
        certificate = self._leaf(device_id, request.public_key(), CLIENT, now, DEVICE_LIFETIME).sign(
            self._key, hashes.SHA256()
        )
        return DeviceCertificate(
            pem=certificate.public_bytes(Encoding.PEM).decode(),
            serial=f"{certificate.serial_number:x}",
            expires_at=certificate.not_valid_after_utc,
        )

    def server(self, hosts: Sequence[str], now: datetime) -> Issued:
        """A server certificate for these host names and addresses; the first is its subject."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([_general_name(host) for host in dict.fromkeys(hosts)])
        leaf = self._leaf(hosts[0], key.public_key(), SERVER, now, SERVICE_LIFETIME)
        return self._issued(leaf.add_extension(names, critical=False), key)

    def client(self, common_name: str, now: datetime) -> Issued:
        """A client certificate whose subject the broker takes as user name."""
        key = ec.generate_private_key(ec.SECP256R1())
        return self._issued(self._leaf(common_name, key.public_key(), CLIENT, now, SERVICE_LIFETIME), key)

    def _leaf(
        self,
        common_name: str,
        key: CertificatePublicKeyTypes,
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.CertificateBuilder:
        authority_key = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            _builder(_name(common_name), self._certificate.subject, key, now, lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
            .add_extension(authority_key, critical=False)
        )

    def _issued(self, builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> Issued:
        certificate = builder.sign(self._key, hashes.SHA256())
        return Issued(certificate.public_bytes(Encoding.PEM), _private_pem(key))


def parse_request(csr_pem: str) -> x509.CertificateSigningRequest:
    """The certificate request, whose sender has shown that it holds the key.

    Raises:
        ContractError: it is malformed, not for a P-256 key, or not signed by that key.
    """
    if len(csr_pem) > MAX_REQUEST_BYTES:
        raise ContractError.mismatch("csr_pem", got=f"{len(csr_pem)} bytes", expected=f"at most {MAX_REQUEST_BYTES}")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode())
        key = request.public_key()
        holds = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ContractError(f"csr_pem: not a certificate request: {error}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ContractError.mismatch("csr_pem: key", got=type(key).__name__, expected="a P-256 key")
    if not holds:
        raise ContractError("csr_pem: the request is not signed by its own key")
    return request


def key_sha256(request: x509.CertificateSigningRequest) -> str:
    """A fingerprint of the request's public key."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(request.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def _private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: CertificatePublicKeyTypes, now: datetime, lifetime: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )
