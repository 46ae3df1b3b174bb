"""`/healthz`, `/readyz`, `/metrics`: for the machines that watch the server."""

import asyncio
from typing import Any

from litestar import Request, Response, get
from litestar.serialization import encode_json

from fleet_contract.api import Role
from fleet_server.api.access import PUBLIC, needs
from fleet_server.metrics import Metrics
from fleet_server.readiness import Readiness

METRICS_PATHS = ["/metrics", "/api/v1/metrics"]


@get(["/healthz", "/api/v1/healthz"], opt=PUBLIC)
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get(["/readyz", "/api/v1/readyz"], opt=PUBLIC)
async def readyz(readiness: Readiness) -> Response[dict[str, Any]]:
    """200 when everything works that requests need, else 503 with what does not."""
    missing = await asyncio.to_thread(readiness.missing)
    return Response({"ready": not missing, "missing": missing}, status_code=503 if missing else 200)


@get(METRICS_PATHS, opt=needs(Role.VIEWER))
async def private_metrics(metrics: Metrics) -> Response[bytes]:
    """Figures for Prometheus, for callers with a token."""
    return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.media_type)


@get(METRICS_PATHS, opt=PUBLIC)
async def public_metrics(metrics: Metrics) -> Response[bytes]:
    """Figures for Prometheus, where the configuration makes them public."""
    return Response(await asyncio.to_thread(metrics.exposition), media_type=metrics.media_type)


@get("/api/v1/openapi.json", opt=PUBLIC, include_in_schema=False, sync_to_thread=True)
def openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    """The API's own description, OpenAPI 3.1."""
    schema = request.app.openapi_schema.to_schema()
    return Response(encode_json(schema), media_type="application/vnd.oai.openapi+json")


HANDLERS = (healthz, readyz, openapi)
