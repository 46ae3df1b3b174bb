"""`/fleet/status` and `/stream`: the fleet at a glance, and what changes in it as it changes."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from litestar import Request, Response, get
from litestar.response import ServerSentEvent, ServerSentEventMessage

from fleet_contract.api import FleetStatus, Role
from fleet_contract.errors import UnreachableError
from fleet_server.api.access import needs
from fleet_server.changes import Changes
from fleet_server.fleet_status import FleetStatusBoard

HEARTBEAT_S = 15.0
MAX_STREAMS = 256


@get("/fleet/status", opt=needs(Role.VIEWER), sync_to_thread=True, raises=[])
def fleet_status(request: Request[Any, Any, Any], board: FleetStatusBoard) -> Response[FleetStatus]:
    """The whole fleet, with an ETag: a reader who has it already gets 304."""
    snapshot = board.snapshot()
    headers = {"ETag": snapshot.etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == snapshot.etag:
        return Response(None, status_code=304, headers=headers)  # type: ignore[arg-type]  # a 304 has no body
    return Response(snapshot.body, headers=headers, media_type="application/json")  # type: ignore[arg-type]  # encoded


@get("/stream", opt=needs(Role.VIEWER))
async def stream(changes: Changes) -> ServerSentEvent:
    """Server-sent events: one `change` for each thing that changed, a comment when nothing did for a while."""
    if changes.subscribers >= MAX_STREAMS:
        raise UnreachableError(f"stream: {MAX_STREAMS} readers are connected", hint="try again later")
    return ServerSentEvent(_messages(changes))


async def _messages(changes: Changes) -> AsyncIterator[ServerSentEventMessage]:
    async with changes.subscribe() as news:
        while not changes.closed:
            found = await news.take(HEARTBEAT_S)
            if not found:
                yield ServerSentEventMessage(comment="still here")
            for change in found:
                body = msgspec.json.encode({"kind": change.kind, "id": change.id}).decode()
                yield ServerSentEventMessage(event="change", data=body)


HANDLERS = (fleet_status, stream)
