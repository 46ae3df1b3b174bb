"""Every error as an RFC 9457 problem, by one table from error family to status and code."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import msgspec
from litestar import Response
from litestar.exceptions import HTTPException

from fleet_contract.api import Problem
from fleet_contract.errors import (
    AccessError,
    ConfigError,
    ConflictError,
    ContractError,
    DataError,
    EdgeferryError,
    GateError,
    MissingExtraError,
    ModelError,
    NotFoundError,
    StorageError,
    TrustError,
    UnreachableError,
)
from fleet_server.api.access import UnauthenticatedError

if TYPE_CHECKING:
    from litestar import Request

log = logging.getLogger(__name__)

MEDIA_TYPE: Final = "application/problem+json"

TABLE: Final[dict[type[EdgeferryError], tuple[int, str]]] = {
    ContractError: (400, "contract"),
    DataError: (422, "data"),
    ModelError: (422, "model"),
    GateError: (422, "gate"),
    TrustError: (422, "trust"),
    UnauthenticatedError: (401, "access"),
    AccessError: (403, "access"),
    NotFoundError: (404, "not-found"),
    ConflictError: (409, "conflict"),
    UnreachableError: (503, "unreachable"),
    StorageError: (507, "storage"),
    ConfigError: (500, "config"),
    MissingExtraError: (500, "missing-extra"),
}
"""Status and stable code of every family. A subclass takes the nearest row above it."""

_CODE_OF_STATUS: Final = {400: "contract", 401: "access", 403: "access", 404: "not-found", 413: "contract"}


def problem_of(error: EdgeferryError) -> Problem:
    """The problem that tells of `error`."""
    status, code = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    return Problem(title=HTTPStatus(status).phrase, status=status, detail=error.message, code=code, hint=error.hint)


def answer(problem: Problem, headers: dict[str, str] | None = None) -> Response[bytes]:
    """The HTTP answer that carries a problem."""
    content = msgspec.json.encode(problem)
    return Response(content, status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)


def on_edgeferry_error(request: Request[Any, Any, Any], error: EdgeferryError) -> Response[bytes]:
    """Answers an error of ours; a 5xx is logged too."""
    problem = problem_of(error)
    if problem.status >= 500:
        log.error("request failed path=%s code=%s detail=%s", request.url.path, problem.code, problem.detail)
    headers = {"WWW-Authenticate": "Bearer"} if problem.status == 401 else None
    return answer(problem, headers)


def on_http_exception(request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    """Answers what the framework refuses: no such path, a malformed body, too large a body."""
    if error.status_code >= 500:
        log.error("request failed path=%s", request.url.path, exc_info=error)
    detail = error.detail
    if error.extra:
        detail = f"{detail}: {msgspec.json.encode(error.extra).decode()}"
    problem = Problem(
        title=HTTPStatus(error.status_code).phrase,
        status=error.status_code,
        detail=detail[:2000],
        code=_CODE_OF_STATUS.get(error.status_code, "http"),
    )
    return answer(problem, dict(error.headers or {}))


def on_too_deep(request: Request[Any, Any, Any], error: RecursionError) -> Response[bytes]:
    """Answers a body that is nested deeper than anything of ours."""
    del request, error
    return answer(Problem(title="Bad Request", status=400, detail="body: nested too deeply", code="contract"))


def on_unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Answers a bug of ours: the whole trace goes to the log, nothing of it to the caller."""
    log.error("unexpected error path=%s", request.url.path, exc_info=error)
    return answer(Problem(title="Internal Server Error", status=500, detail="see the server's log", code="internal"))


HANDLERS: Final[dict[Any, Any]] = {
    EdgeferryError: on_edgeferry_error,
    HTTPException: on_http_exception,
    RecursionError: on_too_deep,
    Exception: on_unexpected,
}
