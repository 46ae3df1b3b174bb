"""`/claims` and `/enrol`: how devices become members."""

from typing import Any

from litestar import Request, post

from fleet_contract.api import ClaimCreate, ClaimCreated, EnrolRequest, EnrolResponse, Role
from fleet_server.api.access import PUBLIC, needs
from fleet_server.enrolment import Enrolment


@post("/claims", opt=needs(Role.DEPLOYER, secret=True), status_code=201, sync_to_thread=True)
def create_claim(request: Request[Any, Any, Any], enrolment: Enrolment, data: ClaimCreate) -> ClaimCreated:
    """A one-time claim for a new device."""
    return enrolment.claim(data, actor=request.user.actor)


@post("/enrol", opt={**PUBLIC, "idempotent": False}, status_code=201, sync_to_thread=True)
def enrol(enrolment: Enrolment, data: EnrolRequest) -> EnrolResponse:
    """Trades a claim for credentials: the claim is the secret. The same device key may repeat it."""
    return enrolment.enrol(data)


HANDLERS = (create_claim, enrol)
