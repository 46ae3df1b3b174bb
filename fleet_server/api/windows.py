"""`/windows`: telemetry windows, for people and charts."""

from datetime import UTC, datetime

from litestar import get

from fleet_contract.api import Page, Role, WindowView
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.ingest import Ingest


@get("/windows", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_windows(
    *,
    ingest: Ingest,
    device: str = "",
    model: str = "",
    since: datetime | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: str = "",
) -> Page[WindowView]:
    """Windows in the order in which they came, the newest first; `since` without a zone is UTC."""
    if since is not None and since.tzinfo is None:
        since = since.replace(tzinfo=UTC)
    found = ingest.page(device_id=device, model=model, since=since, before_id=read_int_cursor(cursor), limit=limit + 1)
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


HANDLERS = (list_windows,)
