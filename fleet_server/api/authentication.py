"""Who a request comes from: a bearer token of a user or a device, or the dashboard's cookie."""

import asyncio
from typing import Any, Final, Protocol

from litestar.connection import ASGIConnection
from litestar.middleware import AbstractAuthenticationMiddleware, AuthenticationResult

from fleet_contract.api import UserView
from fleet_contract.names import DeviceId
from fleet_server.api.access import ANONYMOUS, Principal
from fleet_server.secret_tokens import DEVICE_PREFIX, MAX_TOKEN_CHARS, USER_PREFIX

COOKIE: Final = "edgeferry_session"
IDENTITY: Final = "identity"


class UserTokens(Protocol):
    """Knows users by their tokens."""

    def of_token(self, token: str) -> UserView | None:
        """The user whom a token belongs to."""
        ...


class DeviceTokens(Protocol):
    """Knows devices by their tokens."""

    def device_of_token(self, token: str) -> str | None:
        """The device whom a token belongs to."""
        ...


class Identity:
    """Turns tokens into principals."""

    def __init__(self, users: UserTokens, devices: DeviceTokens) -> None:
        self._users = users
        self._devices = devices

    def of(self, token: str, *, by_cookie: bool = False) -> Principal:
        """The principal of a token; the anonymous one where nobody has it."""
        if len(token) > MAX_TOKEN_CHARS:
            return ANONYMOUS
        if token.startswith(USER_PREFIX) and (user := self._users.of_token(token)):
            return Principal(name=user.name, role=user.role, by_cookie=by_cookie)
        if token.startswith(DEVICE_PREFIX) and not by_cookie and (device_id := self._devices.device_of_token(token)):
            return Principal(device_id=DeviceId(device_id))
        return ANONYMOUS


class Authentication(AbstractAuthenticationMiddleware):
    """Puts the principal where guards and handlers find it: `request.user`."""

    async def authenticate_request(self, connection: ASGIConnection[Any, Any, Any, Any]) -> AuthenticationResult:
        """Looks the token up; it is the guard who refuses."""
        identity: Identity = connection.app.state[IDENTITY]
        scheme, _, token = connection.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token:
            principal = await asyncio.to_thread(identity.of, token.strip())
        elif cookie := connection.cookies.get(COOKIE, ""):
            principal = await asyncio.to_thread(identity.of, cookie, by_cookie=True)
        else:
            principal = ANONYMOUS
        return AuthenticationResult(user=principal, auth=None)
