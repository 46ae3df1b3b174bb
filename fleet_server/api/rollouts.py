"""`/rollouts`: bringing releases to devices in gated stages."""

from typing import Any

from litestar import Request, get, post
from litestar.handlers import HTTPRouteHandler

from fleet_contract.api import Page, Role, RolloutCreate, RolloutDeviceView, RolloutView
from fleet_contract.rollout import RolloutEvent
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


def _mover(event: RolloutEvent, description: str) -> HTTPRouteHandler:
    """The handler of one thing that people do to a rollout; its path ends in the event's word."""

    @post(
        f"/rollouts/{{rollout_id:str}}/{event}",
        opt=needs(Role.DEPLOYER),
        status_code=200,
        sync_to_thread=True,
        description=description,
    )
    def move_rollout(request: Request[Any, Any, Any], rollouts: Rollouts, rollout_id: str) -> RolloutView:
        return rollouts.move(rollout_id, event, actor=request.user.actor)

    return move_rollout


HANDLERS = (
    list_rollouts,
    create_rollout,
    get_rollout,
    list_rollout_devices,
    _mover(RolloutEvent.APPROVE, "Lets a rollout that waits for approval begin."),
    _mover(RolloutEvent.PAUSE, "Gives no further device the release; those at work go on."),
    _mover(RolloutEvent.RESUME, "Goes on; failures for which a gate paused it are accepted by whoever resumes it."),
    _mover(RolloutEvent.ABORT, "Ends it: devices that have committed keep the release, others get back what they had."),
    _mover(RolloutEvent.ROLL_BACK, "Takes every device that got the release back to what it ran before."),
)
