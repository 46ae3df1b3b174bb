"""`/trust`: the TUF repository as its clients fetch it, and the way in for new offline-signed targets."""

import asyncio
from typing import Any

from litestar import Request, Response, get, put

from fleet_contract.api import Role
from fleet_server.api.access import PUBLIC, needs
from fleet_server.audit import Audit
from fleet_server.clock import Clock
from fleet_server.tuf_repository import MAX_TARGETS_BYTES, TufRepository

IMMUTABLE = "public, max-age=31536000, immutable"


@get("/trust/metadata/{name:str}", opt=PUBLIC, sync_to_thread=True)
def get_metadata(trust: TufRepository, name: str) -> Response[bytes]:
    """A metadata file; one without a version in its name is the current one."""
    caching = IMMUTABLE if name[:1].isdigit() else "no-cache"
    data = trust.metadata_file(name)
    return Response(data, media_type="application/json", headers={"Cache-Control": caching})


@get("/trust/targets/{path:path}", opt=PUBLIC, sync_to_thread=True)
def get_target(trust: TufRepository, path: str) -> Response[bytes]:
    """A target file by its consistent-snapshot name."""
    data = trust.target_file(path.lstrip("/"))
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": IMMUTABLE})


@put("/trust/targets", opt=needs(Role.ADMIN), status_code=204, request_max_body_size=MAX_TARGETS_BYTES)
async def put_targets(request: Request[Any, Any, Any], trust: TufRepository, audit: Audit, clock: Clock) -> None:
    """Takes the next top-level targets metadata."""
    data = await request.body()
    await asyncio.to_thread(trust.put_targets, data)
    await asyncio.to_thread(
        audit.record, request.user.actor, "put-targets", "targets", f"{len(data)} bytes", at=clock.now()
    )


HANDLERS = (get_metadata, get_target, put_targets)
