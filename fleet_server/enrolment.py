"""How a device becomes a member: a deployer makes a claim, the device trades it for its credentials, once.

Rules: a claim is bound to one device id, expires, and is consumed in the transaction that makes the device, so that
two devices never share one; only the same key may repeat it, because its answer may have been lost on the way. The
certificate's subject is ours. Only hashes of the secrets are stored.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec

from fleet_contract.api import BrokerAddress, ClaimCreate, ClaimCreated, EnrolRequest, EnrolResponse
from fleet_contract.errors import AccessError, ConflictError, NotFoundError
from fleet_server.certificates import Authority, key_sha256, parse_request
from fleet_server.devices import check_labels
from fleet_server.secret_tokens import CLAIM_PREFIX, DEVICE_PREFIX, MAX_TOKEN_CHARS, digest, new_secret, new_token
from fleet_server.storage import credentials as rows

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.x509 import CertificateSigningRequest
    from sqlalchemy.engine import Connection

    from fleet_server.audit import Audit
    from fleet_server.clock import Clock
    from fleet_server.devices import Devices
    from fleet_server.director import Director
    from fleet_server.storage.database import Database


@dataclass(frozen=True, slots=True)
class FleetFacts:
    """What every new member is told. `broker` is asked at enrolment, since a broker may move."""

    tenant: str
    root_json: bytes
    broker: Callable[[], BrokerAddress]


class Enrolment:
    """Claims and enrolments."""

    def __init__(
        self,
        database: Database,
        *,
        devices: Devices,
        director: Director,
        audit: Audit,
        clock: Clock,
        authority: Authority,
        fleet: FleetFacts,
    ) -> None:
        self._database = database
        self._devices = devices
        self._director = director
        self._audit = audit
        self._clock = clock
        self._authority = authority
        self._fleet = fleet

    def claim(self, request: ClaimCreate, *, actor: str) -> ClaimCreated:
        """A one-time claim for a device that does not exist yet; earlier unused ones for it are withdrawn.

        Raises:
            ConflictError: the device is a member.
            ContractError: a label is badly named or too long.
        """
        check_labels(request.labels)
        secret, now = new_secret(), self._clock.now()
        expires_at = now + timedelta(seconds=request.ttl_s)
        with self._database.transaction() as connection:
            if self._is_member(request.device_id, connection):
                raise ConflictError(
                    f"device {request.device_id}: is a member already", hint="decommission it first, or name another"
                )
            rows.add_claim(
                connection,
                digest(secret),
                device_id=request.device_id,
                labels=request.labels,
                created_at=now,
                expires_at=expires_at,
            )
            self._audit.record(actor, "create-claim", request.device_id, at=now, connection=connection)
        token = f"{CLAIM_PREFIX}.{secret}.{self._fingerprint()}"
        return ClaimCreated(device_id=request.device_id, token=token, expires_at=expires_at)

    def enrol(self, request: EnrolRequest) -> EnrolResponse:
        """Trades a claim for credentials.

        Raises:
            AccessError: the claim is unknown, used, expired, or made for another fleet's root.
            ContractError: the certificate request does not hold.
        """
        secret = self._secret_of(request.claim)
        csr = parse_request(request.csr_pem)
        token, now = new_token(DEVICE_PREFIX), self._clock.now()
        with self._database.transaction() as connection:
            claim = rows.use_claim(connection, digest(secret), key_sha256(csr), now)
            if claim is None:
                raise AccessError("claim: unknown, used or expired", hint="ask a deployer for a new one")
            profile = msgspec.structs.replace(request.profile, device_id=claim.device_id)
            self._devices.register(claim.device_id, claim.labels, profile, connection=connection)
            certificate_pem = self._issue(connection, csr, claim.device_id, token)
            self._director.refresh(claim.device_id, connection=connection)
            actor = f"device:{claim.device_id}"
            self._audit.record(actor, "enrol", claim.device_id, profile.hardware, at=now, connection=connection)
        return EnrolResponse(
            device_id=claim.device_id,
            tenant=self._fleet.tenant,
            certificate_pem=certificate_pem,
            ca_pem=self._authority.certificate_pem,
            http_token=token,
            root_json=self._fleet.root_json.decode(),
            broker=self._fleet.broker(),
        )

    def device_of_token(self, token: str) -> str | None:
        """The device whom a token belongs to."""
        with self._database.read() as connection:
            return rows.device_of_token(connection, digest(token))

    def _issue(self, connection: Connection, csr: CertificateSigningRequest, device_id: str, token: str) -> str:
        certificate = self._authority.certify(csr, device_id, self._clock.now())
        rows.put_token(connection, device_id, digest(token), certificate.serial, certificate.expires_at)
        return certificate.pem

    def _secret_of(self, claim: str) -> str:
        prefix, _, rest = claim[:MAX_TOKEN_CHARS].partition(".")
        secret, _, fingerprint = rest.partition(".")
        if prefix != CLAIM_PREFIX or not secret:
            raise AccessError("claim: not a claim token", hint=f"it begins with `{CLAIM_PREFIX}.`")
        if fingerprint != self._fingerprint():
            raise AccessError("claim: was made for a fleet with another root", hint="is this the right server?")
        return secret

    def _fingerprint(self) -> str:
        return hashlib.sha256(self._fleet.root_json).hexdigest()

    def _is_member(self, device_id: str, connection: Connection) -> bool:
        try:
            self._devices.get(device_id, connection=connection)
        except NotFoundError:
            return False
        return True
