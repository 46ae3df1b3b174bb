"""Whether the server can be reached."""

from __future__ import annotations

import asyncio

import pytest

from device_agent.presence import ServerPresence
from fleet_contract.codec import encode
from fleet_contract.messages import ServerStatus
from tests.fakes.agent_world import FakeLink, FakeServer


@pytest.mark.parametrize(
    ("connected", "heard", "up", "reachable"),
    [
        pytest.param(False, True, True, False, id="no broker: no server"),
        pytest.param(True, True, False, True, id="what the broker says counts"),
        pytest.param(True, False, True, False, id="an offline server is away"),
        pytest.param(True, None, True, True, id="nothing heard: it is asked, and answers"),
        pytest.param(True, None, False, False, id="nothing heard: it is asked, and does not"),
    ],
)
def test_the_server_is_reachable(*, connected: bool, heard: bool | None, up: bool, reachable: bool) -> None:
    """A commit may count on it only when it is really there."""
    link = FakeLink()
    link.connected = connected
    presence = ServerPresence(link, FakeServer(up=up))
    presence.hear(b"" if heard is None else encode(ServerStatus(session_id="s", online=heard)))
    assert asyncio.run(presence.reachable()) is reachable
