"""`/alerts`: what needs a look."""

from typing import Annotated, Any

from litestar import Request, get, post
from litestar.params import Parameter

from fleet_contract.api import AlertView, Page, Role
from fleet_server.alerts import Alerts
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor


@get("/alerts", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_alerts(
    *,
    alerts: Alerts,
    open_only: Annotated[bool, Parameter(query="open", description="only those that are not resolved")] = False,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str = "",
) -> Page[AlertView]:
    """Alerts, the newest first."""
    found = alerts.page(open_only=open_only, before_id=read_int_cursor(cursor), limit=limit + 1)
    return page_of(found, limit, lambda alert: alert.id)


@post("/alerts/{alert_id:int}/resolve", opt=needs(Role.DEPLOYER), status_code=200, sync_to_thread=True)
def resolve_alert(request: Request[Any, Any, Any], alerts: Alerts, alert_id: int) -> AlertView:
    """Closes an alert."""
    return alerts.resolve(alert_id, actor=request.user.actor)


HANDLERS = (list_alerts, resolve_alert)
