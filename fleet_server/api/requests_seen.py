"""Counts every request with its route, status and time."""

import time

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from fleet_server.metrics import Metrics


class RequestsSeen(ASGIMiddleware):
    """Tells `Metrics` of each request once its answer began."""

    scopes = (ScopeType.HTTP,)

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Passes the request on and looks at the answer."""
        started_s = time.monotonic()

        async def look(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(scope.get("path_template") or "")
                duration_s = time.monotonic() - started_s
                self._metrics.count_request(str(scope.get("method", "")), route, message["status"], duration_s)
            await send(message)

        await next_app(scope, receive, look)
