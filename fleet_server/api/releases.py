"""`/releases`: the registry."""

from typing import Annotated, Any

from litestar import Request, get, post, put
from msgspec import Meta, Struct

from fleet_contract.api import Page, ReleasePublish, ReleaseView, Role
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_int_cursor
from fleet_server.registry import Registry
from fleet_server.tuf_repository import MAX_TARGETS_BYTES


class AliasTarget(Struct, frozen=True, kw_only=True):
    """The version that an alias moves to."""

    version: Annotated[int, Meta(ge=1)]


@get("/releases", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_releases(
    registry: Registry, model: str = "", limit: Limit = DEFAULT_LIMIT, cursor: str = ""
) -> Page[ReleaseView]:
    """Releases, the newest first."""
    found = registry.page(model=model, before_id=read_int_cursor(cursor), limit=limit + 1)
    page = page_of(found, limit, lambda item: item[0])
    return Page(items=[view for _, view in page.items], next=page.next)


@post(
    "/releases",
    opt=needs(Role.PUBLISHER),
    status_code=201,
    request_max_body_size=2 * MAX_TARGETS_BYTES,
    sync_to_thread=True,
)
def publish_release(request: Request[Any, Any, Any], registry: Registry, data: ReleasePublish) -> ReleaseView:
    """Registers a signed release whose blobs are here."""
    return registry.publish(data, actor=request.user.actor)


@get("/releases/{model:str}/{version:str}", opt=needs(Role.VIEWER), sync_to_thread=True)
def get_release(registry: Registry, model: str, version: str) -> ReleaseView:
    """A release by version or alias."""
    return registry.get(model, version)


@put("/releases/{model:str}/aliases/{alias:str}", opt=needs(Role.DEPLOYER), sync_to_thread=True)
def put_alias(
    request: Request[Any, Any, Any], registry: Registry, model: str, alias: str, data: AliasTarget
) -> ReleaseView:
    """Moves an alias."""
    registry.set_alias(model, alias, data.version, actor=request.user.actor)
    return registry.get(model, data.version)


HANDLERS = (list_releases, publish_release, get_release, put_alias)
