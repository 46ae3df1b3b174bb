"""Every MQTT topic of edgeferry in one table: how it is built, parsed, and with which QoS and retain it is sent.

At most 7 levels and 256 bytes, no QoS 2, no reliance on retained messages through wildcards, so that the tree
also works on AWS IoT Core, EMQX and HiveMQ. Source: docs/measurements.md (mqtt)
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, NamedTuple

from fleet_contract.errors import ContractError
from fleet_contract.names import DeviceId, Tenant, parse_name

PREFIX: Final = "ef/1"
DEFAULT_TENANT: Final = Tenant("main")


class Sender(StrEnum):
    """Who publishes on a topic."""

    SERVER = "server"
    DEVICE = "device"


class DeviceTopic(StrEnum):
    """Topics below `ef/1/{tenant}/d/{id}/`."""

    DESIRED = "desired"
    COMMAND = "cmd"
    COMMAND_RESULT = "cmd/res"
    REPORTED = "reported"
    STATUS = "status"
    PROFILE = "profile"
    EVENT = "event"
    TELEMETRY = "telemetry"


class TopicRule(NamedTuple):
    """Who sends on a topic, how, and what it holds."""

    sender: Sender
    qos: int
    retain: bool
    holds: str


TABLE: Final[dict[DeviceTopic, TopicRule]] = {
    DeviceTopic.DESIRED: TopicRule(Sender.SERVER, 1, retain=True, holds="SignedDocument of Desired"),
    DeviceTopic.COMMAND: TopicRule(Sender.SERVER, 1, retain=False, holds="SignedDocument of Command"),
    DeviceTopic.COMMAND_RESULT: TopicRule(Sender.DEVICE, 1, retain=False, holds="CommandResult"),
    DeviceTopic.REPORTED: TopicRule(Sender.DEVICE, 1, retain=True, holds="Reported"),
    DeviceTopic.STATUS: TopicRule(Sender.DEVICE, 1, retain=True, holds="DeviceStatus"),
    DeviceTopic.PROFILE: TopicRule(Sender.DEVICE, 1, retain=True, holds="DeviceProfile"),
    DeviceTopic.EVENT: TopicRule(Sender.DEVICE, 1, retain=False, holds="Event or SecurityReport"),
    DeviceTopic.TELEMETRY: TopicRule(Sender.DEVICE, 1, retain=False, holds="telemetry batch (binary)"),
}


def device_topic(tenant: str, device_id: str, topic: DeviceTopic) -> str:
    """The topic of one device."""
    return f"{PREFIX}/{tenant}/d/{device_id}/{topic}"


def device_filter(tenant: str, topic: DeviceTopic) -> str:
    """The subscription to one topic of all devices."""
    return f"{PREFIX}/{tenant}/d/+/{topic}"


def server_status_topic(tenant: str) -> str:
    """Where the server tells whether it is there; QoS 1, retained."""
    return f"{PREFIX}/{tenant}/server/status"


def group_hint_topic(tenant: str, group: str) -> str:
    """Where a group of devices hears that something changed; QoS 0, not retained."""
    return f"{PREFIX}/{tenant}/group/{group}/hint"


class ParsedTopic(NamedTuple):
    """A device topic taken apart."""

    tenant: Tenant
    device_id: DeviceId
    topic: DeviceTopic


def parse_device_topic(text: str) -> ParsedTopic:
    """The parts of a device topic.

    Raises:
        ContractError: `text` is not one.
    """
    levels = text.split("/", 5)
    if len(levels) != 6 or "/".join(levels[:2]) != PREFIX or levels[3] != "d":
        raise ContractError.mismatch("topic", got=text, expected=f"{PREFIX}/{{tenant}}/d/{{id}}/...")
    try:
        topic = DeviceTopic(levels[5])
    except ValueError:
        raise ContractError.mismatch(
            "topic", got=text, expected=f"one of {', '.join(DeviceTopic)} at the end"
        ) from None
    return ParsedTopic(Tenant(parse_name(levels[2], "tenant")), DeviceId(parse_name(levels[4], "device id")), topic)
