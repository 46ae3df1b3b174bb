"""The agent's few calls of the REST API, off the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fleet_contract.errors import EdgeferryError

if TYPE_CHECKING:
    from pathlib import Path

    from fleet_contract.api import SampleBatch

TIMEOUT_S = 10.0


class HttpFleetServer:
    """Calls one server with the device's own token. The client is made when it is first needed."""

    def __init__(self, url: str, token: str, ca_file: Path | None) -> None:
        self._url = url
        self._token = token
        self._ca_file = ca_file

    async def healthy(self) -> bool:
        """Whether the server answers; no error is one too many to say no."""
        return await asyncio.to_thread(self._healthy)

    async def send_samples(self, batch: SampleBatch) -> None:
        """Hands in samples.

        Raises:
            EdgeferryError: the server refused them or does not answer.
        """
        await asyncio.to_thread(self._send_samples, batch)

    def _healthy(self) -> bool:
        from fleet_client import FleetClient

        client = FleetClient(self._url, self._token, ca_file=self._ca_file, timeout_s=TIMEOUT_S, tries=1)
        try:
            return client.healthy()
        except EdgeferryError:
            return False
        finally:
            client.close()

    def _send_samples(self, batch: SampleBatch) -> None:
        from fleet_client import FleetClient

        client = FleetClient(self._url, self._token, ca_file=self._ca_file)
        try:
            client.send_samples(batch)
        finally:
            client.close()
