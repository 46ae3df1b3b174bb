"""`/devices`: the fleet's members, their history and labels, and how they leave."""

from typing import Any

from litestar import Request, delete, get, patch

from fleet_contract.api import DeviceEventView, DeviceView, LabelsPatch, Page, Role
from fleet_contract.errors import ContractError
from fleet_server.api.access import needs
from fleet_server.api.paging import DEFAULT_LIMIT, Limit, page_of, read_cursor, read_int_cursor
from fleet_server.devices import Devices
from fleet_server.membership import Membership


@get("/devices", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_devices(devices: Devices, label: str = "", limit: Limit = DEFAULT_LIMIT, cursor: str = "") -> Page[DeviceView]:
    """Devices by id, all or those with a label `key:value`."""
    labels = _parse_label(label) if label else None
    found = devices.page(labels=labels, after=read_cursor(cursor), limit=limit + 1)
    return page_of(found, limit, lambda device: device.device_id)


@get("/devices/{device_id:str}", opt=needs(Role.VIEWER), sync_to_thread=True)
def get_device(devices: Devices, device_id: str) -> DeviceView:
    """One device."""
    return devices.get(device_id)


@get("/devices/{device_id:str}/events", opt=needs(Role.VIEWER), sync_to_thread=True)
def list_device_events(
    devices: Devices, device_id: str, limit: Limit = DEFAULT_LIMIT, cursor: str = ""
) -> Page[DeviceEventView]:
    """A device's history, the newest first."""
    found = devices.events(device_id, before_seq=read_int_cursor(cursor), limit=limit + 1)
    return page_of(found, limit, lambda event: event.seq)


@patch("/devices/{device_id:str}/labels", opt=needs(Role.DEPLOYER), sync_to_thread=True)
def patch_labels(
    request: Request[Any, Any, Any], membership: Membership, device_id: str, data: LabelsPatch
) -> DeviceView:
    """Changes labels; one with an empty value goes."""
    return membership.label(device_id, data.labels, actor=request.user.actor)


@delete("/devices/{device_id:str}", opt=needs(Role.ADMIN), sync_to_thread=True)
def delete_device(request: Request[Any, Any, Any], membership: Membership, device_id: str) -> None:
    """Decommissions a device: its credentials stop working and its retained topics are cleared."""
    membership.decommission(device_id, actor=request.user.actor)


def _parse_label(text: str) -> dict[str, str]:
    key, found, value = text.partition(":")
    if not (key and found and value):
        raise ContractError.mismatch("label", got=text, expected="key:value")
    return {key: value}


HANDLERS = (list_devices, get_device, list_device_events, patch_labels, delete_device)
