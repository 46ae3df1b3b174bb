"""Pages of lists: `limit` and an opaque `cursor` in, `Page` out.

@get("/things", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_things(things: Things, limit: Limit = DEFAULT_LIMIT, cursor: str = "") -> Page[ThingView]:
    found = things.page(before=read_cursor(cursor), limit=limit + 1)   # one more tells whether there is a next
    return page_of(found, limit, lambda thing: thing.id)
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from typing import Annotated, TypeVar

from litestar.params import Parameter

from fleet_contract.api import Page
from fleet_contract.errors import ContractError

T = TypeVar("T")

DEFAULT_LIMIT = 100
Limit = Annotated[int, Parameter(ge=1, le=1000, description="how many items at most")]


def page_of(found: Sequence[T], limit: int, key: Callable[[T], object]) -> Page[T]:
    """The page of the first `limit` of `found`, which holds one more where there is a next page."""
    items = list(found[:limit])
    more = len(found) > limit
    return Page(items=items, next=write_cursor(str(key(items[-1]))) if more else "")


def write_cursor(key: str) -> str:
    """The opaque cursor after the item with that key."""
    return base64.urlsafe_b64encode(key.encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> str:
    """The key in a cursor; empty for none.

    Raises:
        ContractError: it is not a cursor of ours.
    """
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise ContractError.mismatch("cursor", got=cursor, expected="the `next` of a page") from None


def read_int_cursor(cursor: str) -> int | None:
    """The number in a cursor; None for none.

    Raises:
        ContractError: it is not a cursor of ours.
    """
    key = read_cursor(cursor)
    if not key:
        return None
    try:
        return int(key)
    except ValueError:
        raise ContractError.mismatch("cursor", got=cursor, expected="the `next` of a page") from None
