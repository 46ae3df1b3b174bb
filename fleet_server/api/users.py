"""`/users`: who may call the API."""

from typing import Any

from litestar import Request, delete, get, post

from fleet_contract.api import Page, Role, UserCreate, UserCreated, UserView
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_cursor
from fleet_server.users import Users


@get("/users", opt=needs(Role.ADMIN), sync_to_thread=True)
def list_users(users: Users, limit: Limit = DEFAULT_LIMIT, cursor: str = "") -> Page[UserView]:
    """Users by name."""
    return page_of(users.page(after=read_cursor(cursor), limit=limit + 1), limit, lambda user: user.name)


@post("/users", opt=needs(Role.ADMIN, secret=True), status_code=201, sync_to_thread=True)
def create_user(request: Request[Any, Any, Any], users: Users, data: UserCreate) -> UserCreated:
    """A new user; the token is shown this once."""
    return users.create(data, actor=request.user.actor)


@delete("/users/{name:str}", opt=needs(Role.ADMIN), sync_to_thread=True)
def remove_user(request: Request[Any, Any, Any], users: Users, name: str) -> None:
    """Takes a user's token back."""
    users.remove(name, actor=request.user.actor)


HANDLERS = (list_users, create_user, remove_user)
