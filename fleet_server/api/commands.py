"""`/devices/{id}/commands`: what is asked of one device besides its desired state."""

from typing import Any

from litestar import Request, get, post

from fleet_contract.api import CommandCreate, CommandView, Role
from fleet_server.api.access import needs
from fleet_server.commands import Commands


@post("/devices/{device_id:str}/commands", opt=needs(Role.DEPLOYER), status_code=201, sync_to_thread=True)
def create_command(
    request: Request[Any, Any, Any], commands: Commands, device_id: str, data: CommandCreate
) -> CommandView:
    """Signs a command and sends it."""
    return commands.create(device_id, data, actor=request.user.actor)


@get("/devices/{device_id:str}/commands/{command_id:str}", opt=needs(Role.VIEWER), sync_to_thread=True)
def get_command(commands: Commands, device_id: str, command_id: str) -> CommandView:
    """A command and, once it came, the device's answer."""
    return commands.get(device_id, command_id)


HANDLERS = (create_command, get_command)
