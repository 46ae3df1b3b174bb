"""`/rollouts`: bringing releases to devices in gated stages."""

from typing import Any

from litestar import Request, get, post

from fleet_contract.api import Page, Role, RolloutCreate, RolloutDeviceView, RolloutView
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.rollout.service import Rollouts


@get("/rollouts", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_rollouts(rollouts: Rollouts, limit: Limit = DEFAULT_LIMIT, cursor: str = "") -> Page[RolloutView]:
    """Rollouts, the newest first."""
    found = rollouts.page(before_number=read_int_cursor(cursor), limit=limit + 1)
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


@post("/rollouts", opt=needs(Role.DEPLOYER), status_code=201, sync_to_thread=True)
def create_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, data: RolloutCreate) -> RolloutView:
    """Creates a rollout; it begins at once, or when it is approved."""
    return rollouts.create(data, actor=request.user.actor)


@get("/rollouts/{rollout_id:str}", opt=needs(Role.VIEWER), sync_to_thread=True)
def get_rollout(rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """One rollout with its stages."""
    return rollouts.get(rollout_id)


@get("/rollouts/{rollout_id:str}/devices", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_rollout_devices(
    rollouts: Rollouts, rollout_id: str, limit: Limit = DEFAULT_LIMIT, cursor: str = ""
) -> Page[RolloutDeviceView]:
    """A rollout's devices in the order in which they are served."""
    after = read_int_cursor(cursor)
    found = rollouts.devices(rollout_id, after_position=-1 if after is None else after, limit=limit + 1)
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


@post("/rollouts/{rollout_id:str}/approve", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def approve_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """Lets a rollout that waits for approval begin."""
    return rollouts.approve(rollout_id, actor=request.user.actor)


@post("/rollouts/{rollout_id:str}/pause", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def pause_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """Gives no further device the release."""
    return rollouts.pause(rollout_id, actor=request.user.actor)


@post("/rollouts/{rollout_id:str}/resume", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def resume_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """Goes on; failures for which a gate paused it are accepted."""
    return rollouts.resume(rollout_id, actor=request.user.actor)


@post("/rollouts/{rollout_id:str}/abort", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def abort_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """Ends it; devices that have committed keep the release."""
    return rollouts.abort(rollout_id, actor=request.user.actor)


@post("/rollouts/{rollout_id:str}/roll-back", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def roll_back_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
    """Takes every device that got the release back to what it ran before."""
    return rollouts.roll_back(rollout_id, actor=request.user.actor)


HANDLERS = (
    list_rollouts,
    create_rollout,
    get_rollout,
    list_rollout_devices,
    approve_rollout,
    pause_rollout,
    resume_rollout,
    abort_rollout,
    roll_back_rollout,
)
