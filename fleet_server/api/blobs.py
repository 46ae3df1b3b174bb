"""`/blobs/{sha256}`: immutable files in and out, streamed; a download may resume with `Range` and `If-Range`."""

import asyncio
from typing import Any

from litestar import Request, Response, get, head, put
from litestar.response import Stream

from fleet_contract.api import Role
from fleet_contract.errors import ContractError, NotFoundError
from fleet_server.api.access import needs
from fleet_server.api.byte_ranges import ByteRange, UnsatisfiableRangeError, chosen_range
from fleet_server.audit import Audit
from fleet_server.blobs import CHUNK_BYTES, Blobs
from fleet_server.clock import Clock
from fleet_server.config import ServerConfig

MEDIA_TYPE = "application/octet-stream"


@head("/blobs/{sha256:str}", opt=needs(Role.PUBLISHER), sync_to_thread=True)
def head_blob(blobs: Blobs, sha256: str) -> Response[None]:
    """Whether a blob is there, and its size."""
    size_bytes = _size(blobs, sha256)
    return Response(None, headers=_headers(sha256) | {"Content-Length": str(size_bytes)})


@get("/blobs/{sha256:str}", opt=needs(Role.VIEWER, device=True), media_type=MEDIA_TYPE, sync_to_thread=True)
def get_blob(request: Request[Any, Any, Any], blobs: Blobs, sha256: str) -> Response[Any]:
    """A blob or one range of it."""
    size_bytes = _size(blobs, sha256)
    headers, etag = _headers(sha256), f'"{sha256}"'
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, headers=headers)
    try:
        part = chosen_range(request.headers.get("range", ""), request.headers.get("if-range", ""), etag, size_bytes)
    except UnsatisfiableRangeError:
        return Response(b"", status_code=416, headers=headers | {"Content-Range": f"bytes */{size_bytes}"})
    if part is None:
        part, status = ByteRange(0, size_bytes - 1), 200
    else:
        status = 206
        headers["Content-Range"] = f"bytes {part.start}-{part.end}/{size_bytes}"
    headers["Content-Length"] = str(part.length)
    chunks = blobs.stream(sha256, part.start, part.length)
    return Stream(chunks, status_code=status, headers=headers, media_type=MEDIA_TYPE)


@put("/blobs/{sha256:str}", opt=needs(Role.PUBLISHER), status_code=201, request_max_body_size=None)
async def put_blob(
    request: Request[Any, Any, Any], sha256: str, *, blobs: Blobs, audit: Audit, clock: Clock, config: ServerConfig
) -> None:
    """Takes a blob, chunk by chunk; nothing is stored unless its hash is that of the address."""
    if await asyncio.to_thread(blobs.size_bytes, sha256) is not None:
        return
    upload = await asyncio.to_thread(blobs.begin)
    received, gathered = 0, bytearray()
    try:
        async for chunk in request.stream():
            received += len(chunk)
            if received > config.max_blob_bytes:
                raise ContractError.mismatch(
                    "blob", got=f"more than {config.max_blob_bytes} bytes", expected="at most max_blob_bytes"
                )
            gathered += chunk
            if len(gathered) >= CHUNK_BYTES:
                await asyncio.to_thread(upload.write, bytes(gathered))
                gathered.clear()
        await asyncio.to_thread(upload.write, bytes(gathered))
        await asyncio.to_thread(upload.finish, sha256)
    finally:
        await asyncio.to_thread(upload.abandon)
    await asyncio.to_thread(
        audit.record, request.user.actor, "upload-blob", sha256, f"{received} bytes", at=clock.now()
    )


def _size(blobs: Blobs, sha256: str) -> int:
    size_bytes = blobs.size_bytes(sha256)
    if size_bytes is None:
        raise NotFoundError(f"blob {sha256}: there is none")
    return size_bytes


def _headers(sha256: str) -> dict[str, str]:
    return {
        "ETag": f'"{sha256}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, max-age=31536000, immutable",
    }


HANDLERS = (head_blob, get_blob, put_blob)
