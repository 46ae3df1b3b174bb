"""`/retrain-requests`: what workers lease, and people open and cancel."""

from typing import Any

from litestar import Request, Response, get, post

from fleet_contract.api import LeaseRenew, LeaseRequest, Page, RetrainCreate, RetrainResult, RetrainView, Role
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.retrain import RetrainRequests
from fleet_server.retrain_policy import RetrainPolicy


@get("/retrain-requests", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_retrain_requests(
    retrain_requests: RetrainRequests, limit: Limit = DEFAULT_LIMIT, cursor: str = ""
) -> Page[RetrainView]:
    """Requests, the newest first."""
    found = retrain_requests.page(before_number=read_int_cursor(cursor), limit=limit + 1)
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


@post("/retrain-requests", opt=needs(Role.DEPLOYER), status_code=201, sync_to_thread=True)
def create_retrain_request(
    request: Request[Any, Any, Any], retrain_policy: RetrainPolicy, data: RetrainCreate
) -> RetrainView:
    """A request by hand; with devices, they are asked for samples."""
    return retrain_policy.create(data, actor=request.user.actor)


@get("/retrain-requests/{request_id:str}", opt=needs(Role.VIEWER), sync_to_thread=True)
def get_retrain_request(retrain_requests: RetrainRequests, request_id: str) -> RetrainView:
    """One request."""
    return retrain_requests.get(request_id)


@post("/retrain-requests/{request_id:str}/open", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def open_retrain_request(
    request: Request[Any, Any, Any], retrain_requests: RetrainRequests, request_id: str
) -> RetrainView:
    """Lets workers take a request that still collects."""
    return retrain_requests.open(request_id, actor=request.user.actor)


@post("/retrain-requests/{request_id:str}/cancel", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def cancel_retrain_request(
    request: Request[Any, Any, Any], retrain_requests: RetrainRequests, request_id: str
) -> RetrainView:
    """Ends a request without a result."""
    return retrain_requests.cancel(request_id, actor=request.user.actor)


@post("/retrain-requests/lease", opt=needs(Role.PUBLISHER), status_code=200, sync_to_thread=True)
def lease_retrain_request(
    request: Request[Any, Any, Any], retrain_requests: RetrainRequests, data: LeaseRequest
) -> Response[RetrainView | None]:
    """The oldest open request for a worker, or 204."""
    view = retrain_requests.lease(data, actor=request.user.actor)
    return Response(view, status_code=200 if view else 204)


@post("/retrain-requests/{request_id:str}/renew", opt=needs(Role.PUBLISHER), status_code=200, sync_to_thread=True)
def renew_retrain_lease(retrain_requests: RetrainRequests, request_id: str, data: LeaseRenew) -> RetrainView:
    """A worker is still at it."""
    return retrain_requests.renew(request_id, data)


@post("/retrain-requests/{request_id:str}/result", opt=needs(Role.PUBLISHER), status_code=200, sync_to_thread=True)
def finish_retrain_request(
    request: Request[Any, Any, Any], retrain_requests: RetrainRequests, request_id: str, data: RetrainResult
) -> RetrainView:
    """How a leased request ended."""
    return retrain_requests.finish(request_id, data, actor=request.user.actor)


HANDLERS = (
    list_retrain_requests,
    create_retrain_request,
    get_retrain_request,
    open_retrain_request,
    cancel_retrain_request,
    lease_retrain_request,
    renew_retrain_lease,
    finish_retrain_request,
)
