"""Who may call what: every handler states it in `opt`, one guard enforces it, and silence means nobody.

    @get("/devices", opt=needs(Role.VIEWER))
    @get("/blobs/{sha256:str}", opt=needs(Role.VIEWER, device=True))
    @get("/healthz", opt=PUBLIC)

Each role may do what the ones before it may. A device's token reaches only what says `device`. A browser's cookie
reads and never writes, so that no other site can make a browser act.
"""

from dataclasses import dataclass
from typing import Any, Final

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from fleet_contract.api import Role
from fleet_contract.errors import AccessError
from fleet_contract.names import DeviceId

ACCESS: Final = "access"
_ORDER: Final = (Role.VIEWER, Role.PUBLISHER, Role.DEPLOYER, Role.ADMIN)
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is calling: a user with a role, a device, or nobody."""

    name: str = "anonymous"
    role: Role | None = None
    device_id: DeviceId | None = None
    by_cookie: bool = False

    @property
    def actor(self) -> str:
        """The name in the audit log."""
        return f"device:{self.device_id}" if self.device_id else self.name


ANONYMOUS: Final = Principal()


@dataclass(frozen=True, slots=True)
class Access:
    """What a handler asks for: at least `role`, or a device's token where `device` is set, or nothing at all."""

    role: Role | None = None
    device: bool = False
    public: bool = False

    def allows(self, principal: Principal) -> bool:
        """Whether `principal` may call it."""
        if self.public:
            return True
        if principal.device_id:
            return self.device
        if self.role is None or principal.role is None:
            return False
        return _ORDER.index(principal.role) >= _ORDER.index(self.role)


def needs(role: Role | None = None, *, device: bool = False, **more: Any) -> dict[str, Any]:
    """The `opt` of a handler for `role` and above, for devices too where `device` is set."""
    return {ACCESS: Access(role=role, device=device), **more}


PUBLIC: Final[dict[str, Any]] = {ACCESS: Access(public=True)}
"""The `opt` of a handler that needs no token."""


class UnauthenticatedError(AccessError):
    """No token, or one that is not known."""


def guard(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Passes when the caller may call `handler`.

    Raises:
        UnauthenticatedError: nobody is logged in.
        AccessError: somebody is, but that is not enough, or the handler does not say who may.
    """
    principal: Principal = connection.user
    access = handler.opt.get(ACCESS)
    what = f"{connection.scope.get('method', 'GET')} {connection.url.path}"
    if not isinstance(access, Access):
        raise AccessError(f"{what}: the server does not say who may do this, so nobody may")
    if not access.allows(principal):
        if principal == ANONYMOUS:
            raise UnauthenticatedError(f"{what}: needs a token", hint="send `Authorization: Bearer TOKEN`")
        raise AccessError(
            f"{what}: {principal.actor} is {principal.role or 'a device'}, needs {access.role or 'a device'}",
            hint="ask an admin for a token with that role",
        )
    if principal.by_cookie and connection.scope.get("method") not in _SAFE_METHODS and not access.public:
        raise AccessError(f"{what}: a browser's session only reads", hint="use the command line or a bearer token")
