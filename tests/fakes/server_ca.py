"""A fleet CA and device certificates, made on the spot."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from fleet_server.broker.running import BrokerTls, Credentials
from fleet_server.certificates import Authority, new_authority

if TYPE_CHECKING:
    from pathlib import Path


def make_ca(folder: Path) -> BrokerTls:
    """A fresh self-signed CA in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    key_pem, cert_pem = new_authority(datetime.now(UTC))
    tls = BrokerTls(ca_cert=folder / "ca.crt", ca_key=folder / "ca.pem")
    tls.ca_cert.write_bytes(cert_pem)
    tls.ca_key.write_bytes(key_pem)
    return tls


def device_credentials(tls: BrokerTls, folder: Path, device_id: str) -> Credentials:
    """A client certificate for `device_id`, as enrolment would issue it."""
    issued = Authority.load(tls.ca_key, tls.ca_cert).client(device_id, datetime.now(UTC))
    cert, key = folder / f"{device_id}.crt", folder / f"{device_id}.pem"
    cert.write_bytes(issued.cert_pem)
    key.write_bytes(issued.key_pem)
    return Credentials(ca_cert=tls.ca_cert, cert=cert, key=key)
