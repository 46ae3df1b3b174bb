"""Enrolment: a one-time claim buys the device its certificate, its token and the root that it trusts from then on.

Steps, each on the disk before the next, so that a power cut leaves either nothing, a retry, or a clear report:
 1. a P-256 key and a certificate request are made here and kept in `identity.new`; a retry uses the same ones;
 2. the server takes the claim once and answers with credentials;
 3. the SHA-256 of the root that came must be the one in the claim, else nothing is kept (`TrustError`);
 4. the whole folder is renamed to `identity`.
A cut between 2 and 4 may leave a spent claim: the retry then says so, and a new claim mends it.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from device_agent.identity import (
    CA_FILE,
    CERTIFICATE_FILE,
    IDENTITY_FILE,
    IDENTITY_FOLDER,
    KEY_FILE,
    ROOT_FILE,
    Identity,
    Membership,
    is_enrolled,
    load_identity,
)
from fleet_contract.api import EnrolRequest, EnrolResponse
from fleet_contract.codec import encode
from fleet_contract.errors import AccessError, ConfigError, ConflictError, NotFoundError, TrustError
from fleet_contract.names import SHA256_PATTERN
from fleet_files.durable import cannot_write, make_folder, sync_folder, write_file

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.device_profile import DeviceProfile

CLAIM_PREFIX: Final = "efc1"
PENDING_FOLDER: Final = "identity.new"
REQUEST_FILE: Final = "device.csr"
UNNAMED: Final = "unenrolled"
"""The device id in the profile of a device that does not know its own yet."""


class Enroller(Protocol):
    """The server's side; `fleet_client.FleetClient` is one."""

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Turns a claim into credentials."""


class Claim(NamedTuple):
    """A one-time claim and the digest of the root that the server must show."""

    token: str
    root_sha256: str


def parse_claim(token: str) -> Claim:
    """The parts of a claim token.

    Raises:
        ConfigError: it is not one. The message does not repeat the token, which is a secret.
    """
    parts = token.strip().split(".")
    if len(parts) != 3 or parts[0] != CLAIM_PREFIX or not parts[1] or not is_sha256(parts[2]):
        raise ConfigError(
            f"claim: got {len(token)} characters of another form, expected {CLAIM_PREFIX}.<secret>.<sha256>",
            hint="copy the whole token that `edgeferry device claim` printed",
        )
    return Claim(token.strip(), parts[2])


def is_sha256(text: str) -> bool:
    """Whether `text` is a SHA-256 digest in lower-case hex."""
    return re.fullmatch(SHA256_PATTERN, text) is not None


def enrol(state_dir: Path, claim: Claim, server: Enroller, server_url: str, profile: DeviceProfile) -> Identity:
    """Enrols this device and returns its identity; one that it already has stays.

    Raises:
        TrustError: the server showed another root than the claim names.
        AccessError: the claim is spent, expired or unknown.
        UnreachableError: the server does not answer; the claim is not spent.
        StorageError: the identity cannot be written.
    """
    if is_enrolled(state_dir):
        return load_identity(state_dir)
    pending = make_folder(state_dir / PENDING_FOLDER, mode=0o700)
    request = EnrolRequest(claim=claim.token, csr_pem=_certificate_request(pending), profile=profile)
    try:
        response = server.enrol(request)
    except (AccessError, ConflictError, NotFoundError) as error:
        raise AccessError(
            f"enrolment: the server refused the claim: {error.message}",
            hint="a claim works once and not for ever; if an earlier try was cut off, make a new claim",
        ) from error
    _check_root(response.root_json, claim.root_sha256)
    _keep(pending, response, server_url)
    try:
        pending.rename(state_dir / IDENTITY_FOLDER)
        sync_folder(state_dir)
    except OSError as error:
        raise cannot_write(state_dir / IDENTITY_FOLDER, error) from error
    return load_identity(state_dir)


def _check_root(root_json: str, expected: str) -> None:
    got = hashlib.sha256(root_json.encode()).hexdigest()
    if got != expected:
        raise TrustError(
            f"enrolment: got a root of trust with SHA-256 {got}, expected {expected} as the claim says",
            hint="this is not the server that made the claim, or somebody is in between; nothing was kept of it",
        )


def _keep(folder: Path, response: EnrolResponse, server_url: str) -> None:
    membership = Membership(
        device_id=response.device_id,
        tenant=response.tenant,
        server_url=server_url,
        http_token=response.http_token,
        broker=response.broker,
    )
    write_file(folder / CERTIFICATE_FILE, response.certificate_pem.encode())
    write_file(folder / CA_FILE, response.ca_pem.encode())
    write_file(folder / ROOT_FILE, response.root_json.encode())
    write_file(folder / IDENTITY_FILE, encode(membership), mode=0o600)


def _certificate_request(folder: Path) -> str:
    """The request in `folder`, made with its key the first time."""
    file = folder / REQUEST_FILE
    if not file.exists():
        key_pem, request_pem = make_key_and_request()
        write_file(folder / KEY_FILE, key_pem, mode=0o600)
        write_file(file, request_pem)
    return file.read_text()


def make_key_and_request() -> tuple[bytes, bytes]:
    """A fresh P-256 private key and a certificate request for it, both PEM; the server writes the subject."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, UNNAMED)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, request.public_bytes(serialization.Encoding.PEM)
