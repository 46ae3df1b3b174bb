"""A fleet CA and device certificates, made on the spot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from fleet_server.broker.certificates import Issuer
from fleet_server.broker.running import BrokerTls, Credentials

if TYPE_CHECKING:
    from pathlib import Path


def make_ca(folder: Path) -> BrokerTls:
    """A fresh self-signed CA in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test fleet CA")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=10))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    tls = BrokerTls(ca_cert=folder / "ca.crt", ca_key=folder / "ca.pem")
    tls.ca_cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    tls.ca_key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return tls


def device_credentials(tls: BrokerTls, folder: Path, device_id: str) -> Credentials:
    """A client certificate for `device_id`, as enrolment would issue it."""
    issued = Issuer(tls).client(device_id, datetime.now(UTC))
    cert, key = folder / f"{device_id}.crt", folder / f"{device_id}.pem"
    cert.write_bytes(issued.cert_pem)
    key.write_bytes(issued.key_pem)
    return Credentials(ca_cert=tls.ca_cert, cert=cert, key=key)
