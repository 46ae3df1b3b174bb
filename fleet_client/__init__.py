"""The typed client of the fleet server's REST API: light enough for an agent, used by the CLI and the worker."""

from fleet_client.client import API, FleetClient

__all__ = ["API", "FleetClient"]
