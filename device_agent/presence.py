"""Whether the server can be reached, which a commit needs: a release that cuts a device off must not stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fleet_contract.codec import decode
from fleet_contract.messages import ServerStatus

if TYPE_CHECKING:
    from device_agent.ports import FleetServer, Link


class ServerPresence:
    """Knows what the broker last said of the server; where it said nothing, asks the server itself."""

    def __init__(self, link: Link, server: FleetServer) -> None:
        self._link = link
        self._server = server
        self._online: bool | None = None

    def hear(self, payload: bytes) -> None:
        """Takes a message of `server/status`; an empty one says nothing.

        Raises:
            ContractError: it is malformed.
        """
        self._online = decode(payload, ServerStatus).online if payload else None

    async def reachable(self) -> bool:
        """Whether the broker is connected and the server is there."""
        if not self._link.connected:
            return False
        return await self._server.healthy() if self._online is None else self._online
