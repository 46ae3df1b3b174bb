"""Puts the resources together to one ASGI application. Which objects they work with is the caller's to say."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from litestar import Litestar, Router
from litestar.datastructures import ResponseHeader, State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.types import ControllerRouterHandler

from fleet_server.api import (
    alerts,
    audit,
    blobs,
    commands,
    devices,
    enrolment,
    fleet,
    health,
    problems,
    releases,
    retrain,
    rollouts,
    samples,
    trust,
    users,
    windows,
)
from fleet_server.api.access import PUBLIC, guard
from fleet_server.api.authentication import IDENTITY, Authentication, Identity
from fleet_server.api.idempotency import Idempotency
from fleet_server.api.requests_seen import RequestsSeen
from fleet_server.clock import Clock
from fleet_server.metrics import Metrics
from fleet_server.storage.database import Database

BASE: Final = "/api/v1"
SCHEMA: Final = f"{BASE}/schema"
"""Where the framework shows the schema; `health.openapi` gives the same at its documented address."""
MAX_BODY_BYTES: Final = 1024 * 1024
RESOURCES: Final = (
    alerts,
    audit,
    blobs,
    commands,
    devices,
    enrolment,
    fleet,
    releases,
    retrain,
    rollouts,
    samples,
    trust,
    users,
    windows,
)
SAFETY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
}


def build_application(
    *,
    identity: Identity,
    database: Database,
    clock: Clock,
    metrics: Metrics,
    metrics_public: bool,
    dependencies: Mapping[str, object],
    pages: Sequence[ControllerRouterHandler] = (),
) -> Litestar:
    """The application. `dependencies` are what handlers ask for by name; `pages` stand beside the API."""
    resources = [handler for module in RESOURCES for handler in module.HANDLERS]
    figures = health.public_metrics if metrics_public else health.private_metrics
    return Litestar(
        route_handlers=[Router(BASE, route_handlers=resources), *health.HANDLERS, figures, *pages],
        dependencies={name: _provide(part) for name, part in dependencies.items()},
        guards=[guard],
        middleware=[RequestsSeen(metrics), Authentication, Idempotency(database, clock)],
        exception_handlers=problems.HANDLERS,
        request_max_body_size=MAX_BODY_BYTES,
        response_headers=[ResponseHeader(name=name, value=value) for name, value in SAFETY_HEADERS.items()],
        openapi_config=_openapi(),
        state=State({IDENTITY: identity, "clock": clock}),
        logging_config=None,
    )


def _provide(part: object) -> Provide:
    def get() -> Any:
        return part

    return Provide(get, sync_to_thread=False)


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="edgeferry fleet server",
        version="1",
        openapi_router=Router(SCHEMA, route_handlers=[], opt=PUBLIC),
        render_plugins=[JsonRenderPlugin(path="/openapi.json")],
    )
