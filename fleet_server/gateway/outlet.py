"""From the database to devices: desired documents, commands, and the emptied topics of those that left.

The broker is not the truth: everything is published again on every connect, and one device's on every change of
its own. What waits to be published is a bounded set of names, not of bytes; too many names become "everything".
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import EdgeferryError, NotFoundError, UnreachableError
from fleet_contract.topics import DeviceTopic, device_topic
from fleet_server.gateway.link import wait_published

if TYPE_CHECKING:
    from collections.abc import Iterable

    from paho.mqtt.client import MQTTMessageInfo

    from fleet_server.changes import Change
    from fleet_server.clock import Clock
    from fleet_server.commands import Commands, DueCommand
    from fleet_server.devices import Devices
    from fleet_server.director import Director
    from fleet_server.gateway.link import Link

log = logging.getLogger(__name__)

EVERYTHING: Final = ("everything", "")
DESIRED: Final = "desired"
COMMANDS: Final = "command"
MAX_NAMES: Final = 10_000
CHUNK: Final = 100
PUBLISH_TIMEOUT_S: Final = 15.0
RETRY_S: Final = 2.0
RETAINED_OF_DEVICE: Final = (DeviceTopic.REPORTED, DeviceTopic.STATUS, DeviceTopic.PROFILE)


class Outlet:
    """Publishes, in one thread."""

    def __init__(
        self, link: Link, *, tenant: str, devices: Devices, director: Director, commands: Commands, clock: Clock
    ) -> None:
        self.published = 0
        """Messages that the broker has acknowledged, for metrics."""
        self._link = link
        self._tenant = tenant
        self._devices = devices
        self._director = director
        self._commands = commands
        self._clock = clock
        self._names: dict[tuple[str, str], None] = {}
        self._wake = threading.Condition()
        self._stopping = False
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-outlet", daemon=True)

    def start(self) -> None:
        """Begins to publish."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        with self._wake:
            self._stopping = True
            self._pause.set()
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(PUBLISH_TIMEOUT_S + 1.0)

    def note(self, change: Change) -> None:
        """Remembers to publish what changed, if it is of ours; for any thread."""
        if change.kind in (DESIRED, COMMANDS):
            self._add((change.kind, change.id))

    def birth(self, device_id: str) -> None:
        """A device has come online: it gets its open commands again."""
        self._add((COMMANDS, device_id))

    def everything(self) -> None:
        """A broker took us, and may have forgotten all."""
        self._add(EVERYTHING)

    def _add(self, name: tuple[str, str]) -> None:
        with self._wake:
            if len(self._names) >= MAX_NAMES:
                self._names.clear()
                name = EVERYTHING
            self._names[name] = None
            self._wake.notify()

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._names or self._stopping)
                if self._stopping:
                    return
                names, self._names = list(self._names), {}
            self._publish_all(names)

    def _publish_all(self, names: Iterable[tuple[str, str]]) -> None:
        try:
            for kind, device_id in names:
                if (kind, device_id) == EVERYTHING:
                    self._publish_everything()
                elif kind == DESIRED:
                    self._publish_device(device_id)
                else:
                    self._publish_commands(self._commands.due(device_id=device_id))
        except UnreachableError as error:
            log.info("gateway-outlet waits for the broker: %s", error.message)
            if self._link.connected:  # else everything goes out on connect
                self._pause.wait(RETRY_S)
                self.everything()
        except EdgeferryError as error:
            log.exception("gateway-outlet problem=%s", error.message)

    def _publish_everything(self) -> None:
        documents = self._director.all_desired()
        for start in range(0, len(documents), CHUNK):  # a large fleet's documents must not pile up in memory
            self._confirm(
                [
                    self._link.publish(self._topic(device_id, DeviceTopic.DESIRED), payload, retain=True)
                    for device_id, payload in documents[start : start + CHUNK]
                ]
            )
        for device_id in self._devices.removed_ids():
            self._clear(device_id)
        self._publish_commands(self._commands.due())

    def _publish_device(self, device_id: str) -> None:
        payload = self._director.desired_bytes(device_id)
        if payload is not None:
            topic = self._topic(device_id, DeviceTopic.DESIRED)
            self._confirm([self._link.publish(topic, payload, retain=True)])
            return
        try:
            self._devices.get(device_id)
        except NotFoundError:
            self._clear(device_id)

    def _clear(self, device_id: str) -> None:
        """Empties the retained topics of a device that left."""
        topics = (DeviceTopic.DESIRED, *RETAINED_OF_DEVICE)
        self._confirm([self._link.publish(self._topic(device_id, topic), b"", retain=True) for topic in topics])

    def _publish_commands(self, due: Iterable[DueCommand]) -> None:
        sent = []
        for command in due:
            left_s = (command.expires_at - self._clock.now()).total_seconds()
            if left_s > 0.0:
                topic = self._topic(command.device_id, DeviceTopic.COMMAND)
                sent.append(self._link.publish(topic, command.signed, retain=False, expiry_s=left_s))
        self._confirm(sent)

    def _confirm(self, sent: Iterable[MQTTMessageInfo]) -> None:
        for info in sent:
            if not wait_published(info, PUBLISH_TIMEOUT_S):
                raise UnreachableError("broker: it did not acknowledge in time")
            self.published += 1

    def _topic(self, device_id: str, topic: DeviceTopic) -> str:
        return device_topic(self._tenant, device_id, topic)
