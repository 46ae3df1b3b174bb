"""The pages: each asks the services for what it shows and renders it. An error is a page too, or leads to the login."""

from typing import Annotated, Any
from urllib.parse import quote, urlsplit

from litestar import MediaType, Request, Response, Router, get, post
from litestar.datastructures import Cookie
from litestar.enums import RequestEncodingType
from litestar.params import Body
from litestar.response import Redirect

from fleet_contract.api import Role, WindowView
from fleet_contract.errors import EdgeferryError, NotFoundError
from fleet_server.alerts import Alerts
from fleet_server.api.access import ANONYMOUS, PUBLIC, UnauthenticatedError, needs
from fleet_server.api.authentication import COOKIE, Identity
from fleet_server.api.problems import problem_of
from fleet_server.audit import Audit
from fleet_server.clock import Clock
from fleet_server.dashboard.rendering import STATIC, Renderer
from fleet_server.devices import Devices
from fleet_server.fleet_status import FleetStatusBoard
from fleet_server.ingest import Ingest
from fleet_server.registry import Registry
from fleet_server.retrain import RetrainRequests
from fleet_server.rollout.service import Rollouts

SHOWN = 200
CHARTED = 120
VIEWER = needs(Role.VIEWER)
AnyRequest = Request[Any, Any, Any]


@get("/", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def fleet_page(request: AnyRequest, renderer: Renderer, board: FleetStatusBoard) -> str:
    """The fleet overview."""
    status = board.snapshot().status
    shown, hidden = status.members[:SHOWN], max(0, len(status.members) - SHOWN)
    return renderer.page("fleet.html", **_frame(request, "/"), status=status, devices=shown, hidden=hidden)


@get("/devices/{device_id:str}", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def device_page(request: AnyRequest, renderer: Renderer, devices: Devices, ingest: Ingest, device_id: str) -> str:
    """One device with its history."""
    windows = [view for _, view in ingest.page(device_id=device_id, limit=CHARTED)]
    return renderer.page(
        "device.html",
        **_frame(request, "/"),
        device=devices.get(device_id),
        events=devices.events(device_id, limit=SHOWN),
        windows=windows,
        charts=_charts(windows),
    )


@get("/rollouts", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def rollouts_page(request: AnyRequest, renderer: Renderer, rollouts: Rollouts) -> str:
    """All rollouts."""
    found = [view for _, view in rollouts.page(limit=SHOWN)]
    return renderer.page("rollouts.html", **_frame(request, "/rollouts"), rollouts=found)


@get("/rollouts/{rollout_id:str}", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def rollout_page(request: AnyRequest, renderer: Renderer, rollouts: Rollouts, rollout_id: str) -> str:
    """One rollout with its devices."""
    return renderer.page(
        "rollout.html",
        **_frame(request, "/rollouts"),
        rollout=rollouts.get(rollout_id),
        devices=rollouts.devices(rollout_id, limit=1000),
    )


@get("/releases", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def releases_page(request: AnyRequest, renderer: Renderer, registry: Registry) -> str:
    """All releases."""
    found = [view for _, view in registry.page(limit=SHOWN)]
    return renderer.page("releases.html", **_frame(request, "/releases"), releases=found)


@get("/releases/{model:str}/{version:str}", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def release_page(request: AnyRequest, renderer: Renderer, registry: Registry, model: str, version: str) -> str:
    """One release with its evidence."""
    return renderer.page("release.html", **_frame(request, "/releases"), release=registry.get(model, version))


@get("/alerts", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def alerts_page(request: AnyRequest, renderer: Renderer, alerts: Alerts, retrain_requests: RetrainRequests) -> str:
    """Alerts and retrain requests."""
    requests = [view for _, view in retrain_requests.page(limit=SHOWN)]
    return renderer.page(
        "alerts.html", **_frame(request, "/alerts"), alerts=alerts.page(limit=SHOWN), requests=requests
    )


@get("/audit", opt=VIEWER, media_type=MediaType.HTML, sync_to_thread=True)
def audit_page(request: AnyRequest, renderer: Renderer, audit: Audit, before: int | None = None) -> str:
    """The audit log."""
    entries = audit.page(before_id=before, limit=SHOWN)
    older = entries[-1].id if len(entries) == SHOWN else 0
    return renderer.page("audit.html", **_frame(request, "/audit"), entries=entries, older=older)


@get("/login", opt=PUBLIC, media_type=MediaType.HTML, sync_to_thread=True)
def login_page(renderer: Renderer, next: str = "/") -> str:  # noqa: A002 -- the query's word
    """The form that takes a token."""
    return renderer.page("login.html", next=_inside(next), problem="")


@post("/login", opt=PUBLIC, sync_to_thread=True)
def log_in(
    request: AnyRequest,
    renderer: Renderer,
    identity: Identity,
    data: Annotated[dict[str, str], Body(media_type=RequestEncodingType.URL_ENCODED)],
) -> Response[Any]:
    """Trades a token for a cookie that scripts cannot read and other sites cannot send."""
    token, target = data.get("token", "").strip(), _inside(data.get("next", "/"))
    if identity.of(token, by_cookie=True) == ANONYMOUS:
        html = renderer.page("login.html", next=target, problem="No user has this token.")
        return Response(html, status_code=401, media_type=MediaType.HTML)
    return Redirect(target, status_code=303, cookies=[_cookie(token, secure=request.url.scheme == "https")])


@post("/logout", opt=PUBLIC, sync_to_thread=False)
def log_out(request: AnyRequest) -> Response[Any]:
    """Forgets the cookie."""
    return Redirect("/login", status_code=303, cookies=[_cookie("", secure=request.url.scheme == "https")])


@get("/static/{name:str}", opt=PUBLIC, sync_to_thread=False)
def static_file(name: str) -> Response[bytes]:
    """Style, script and mark."""
    if name not in STATIC:
        raise NotFoundError(f"static: there is no {name}")
    data, media_type = STATIC[name]
    return Response(data, media_type=media_type, headers={"Cache-Control": "no-cache"})


def on_error(request: AnyRequest, error: EdgeferryError) -> Response[Any]:
    """The error as a page; who is not logged in is led to the login."""
    if isinstance(error, UnauthenticatedError):
        return Redirect(f"/login?next={quote(request.url.path)}", status_code=303)
    problem = problem_of(error)
    renderer = Renderer(_clock_of(request))
    html = renderer.page("problem.html", **_frame(request, ""), problem=problem)
    return Response(html, status_code=problem.status, media_type=MediaType.HTML)


def _frame(request: AnyRequest, here: str) -> dict[str, str]:
    return {"here": here, "viewer": request.user.name}


def _clock_of(request: AnyRequest) -> Clock:
    clock = request.app.state["clock"]
    assert isinstance(clock, Clock)
    return clock


def _inside(target: str) -> str:
    """`target` when it is a path of this site, else the front page: a login must not send people elsewhere."""
    parts = urlsplit(target)
    plain = not (parts.scheme or parts.netloc) and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if plain and target.isprintable() else "/"


def _cookie(value: str, *, secure: bool) -> Cookie:
    max_age_s = 12 * 3600 if value else 0
    return Cookie(key=COOKIE, value=value, max_age=max_age_s, httponly=True, samesite="strict", secure=secure, path="/")


def _charts(windows: list[WindowView]) -> list[tuple[str, list[float], str]]:
    """(name, values oldest first, the last value in words) of each chart."""
    if not windows:
        return []
    oldest_first, last = windows[::-1], windows[0]
    return [
        ("Frames", [float(each.count) for each in oldest_first], str(last.count)),
        ("Latency p95", [each.latency_p95_ms for each in oldest_first], f"{last.latency_p95_ms:.2f} ms"),
        ("Mean confidence", [each.mean_confidence for each in oldest_first], f"{last.mean_confidence:.3f}"),
        ("Drift score", [each.drift_score for each in oldest_first], f"{last.drift_score:.2f}"),
    ]


PAGES = (
    Router(
        "/",
        route_handlers=[
            fleet_page,
            device_page,
            rollouts_page,
            rollout_page,
            releases_page,
            release_page,
            alerts_page,
            audit_page,
            login_page,
            log_in,
            log_out,
            static_file,
        ],
        exception_handlers={EdgeferryError: on_error, UnauthenticatedError: on_error},
        include_in_schema=False,
    ),
)
