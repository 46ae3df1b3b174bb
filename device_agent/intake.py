"""What comes from the broker: desired documents (the newest counts), commands (each once), the server's status.

Nothing is believed before a director's signature holds. A document that cannot be judged because the server does
not answer is kept and tried again; one that does not hold is refused, reported, and changes nothing.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from device_agent.director import open_command, open_desired, signer_ids
from device_agent.faults import RefusedError
from device_agent.slot_steps import DESIRED_ENVELOPE
from fleet_contract.codec import encode
from fleet_contract.errors import ContractError, EdgeferryError, UnreachableError
from fleet_contract.topics import DeviceTopic, device_topic, server_status_topic

if TYPE_CHECKING:
    from collections.abc import Callable

    from device_agent.presence import ServerPresence
    from device_agent.surroundings import Surroundings
    from fleet_contract.desired import Desired
    from fleet_contract.messages import Command

T = TypeVar("T")

DESIRED_REV: Final = "desired_rev"
DESIRED: Final = "desired"
SIGNED_AT: Final = "signed_at"
MAX_COMMANDS: Final = 32
MIN_REFRESH_S: Final = 5.0
"""At most so often does a signature by an unknown key make the agent ask for fresh keys."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0

_log = logging.getLogger(__name__)


class Intake:
    """Judges messages and hands on what holds.

    Args:
        around: what the agent shares.
        presence: learns of the server's status.
        on_desired: takes a document that holds and is already persisted.
        on_command: takes a command that holds and is already marked as carried out.
    """

    def __init__(
        self,
        around: Surroundings,
        presence: ServerPresence,
        *,
        on_desired: Callable[[Desired], None],
        on_command: Callable[[Command], None],
    ) -> None:
        self._around = around
        self._presence = presence
        self._on_desired = on_desired
        self._on_command = on_command
        self._desired: bytes | None = None
        self._commands: asyncio.Queue[bytes] = asyncio.Queue(MAX_COMMANDS)
        self._wake = asyncio.Event()
        self._refreshed_s = -MIN_REFRESH_S

    async def hear(self, topic: str, payload: bytes) -> None:
        """Takes a message of the broker; it is judged by `run`."""
        tenant, device_id = self._around.tenant, self._around.device_id
        if topic == device_topic(tenant, device_id, DeviceTopic.DESIRED):
            self._desired = payload or None
        elif topic == device_topic(tenant, device_id, DeviceTopic.COMMAND):
            self._hear_command(payload)
        elif topic == server_status_topic(tenant):
            self._hear_status(payload)
        self._wake.set()

    async def run(self) -> None:
        """Judges what was heard, until canceled."""
        failures = 0
        self._wake.set()
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._judge_commands()
                await self._judge_desired()
            except UnreachableError as error:
                failures += 1
                limit_s = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures, 16))
                _log.warning("desired waits error=%s", error.message)
                await self._pause(self._around.rng.uniform(0.0, limit_s))
            else:
                failures = 0

    async def _pause(self, pause_s: float) -> None:
        """Until something new is heard, at most `pause_s`."""
        try:
            async with asyncio.timeout(pause_s):
                await self._wake.wait()
        except TimeoutError:
            self._wake.set()

    def _hear_command(self, payload: bytes) -> None:
        try:
            self._commands.put_nowait(payload)
        except asyncio.QueueFull:
            _log.error("command dropped: %d wait already", MAX_COMMANDS)

    def _hear_status(self, payload: bytes) -> None:
        try:
            self._presence.hear(payload)
        except ContractError as error:
            _log.warning("server status ignored error=%s", error.message)

    async def _judge_desired(self) -> None:
        payload = self._desired
        if payload is None:
            return
        try:
            desired = await self._trusted(payload, partial(self._open_desired, payload))
        except RefusedError as error:
            self._around.ledger.report(error, evidence=payload)
            desired = None
        if desired is not None:
            self._keep(desired, payload)
            self._on_desired(desired)
        if self._desired is payload:
            self._desired = None

    def _open_desired(self, payload: bytes) -> Desired | None:
        return open_desired(
            payload,
            self._around.trust.verify,
            device_id=self._around.device_id,
            last_rev=int(self._around.store.meta(DESIRED_REV, "0")),
            now=self._around.clock.now(),
        )

    def _keep(self, desired: Desired, envelope: bytes) -> None:
        store = self._around.store
        with store.transaction():
            store.set_meta(DESIRED_REV, str(desired.rev))
            store.set_meta(DESIRED, encode(desired))
            store.set_meta(DESIRED_ENVELOPE, envelope)
            if self._around.clock.witness(desired.issued_at):
                store.set_meta(SIGNED_AT, desired.issued_at.isoformat())
        _log.info("desired taken rev=%d slots=%d", desired.rev, len(desired.slots))

    async def _judge_commands(self) -> None:
        while not self._commands.empty():
            payload = self._commands.get_nowait()
            try:
                command = await self._trusted(payload, partial(self._open_command, payload))
            except RefusedError as error:
                self._around.ledger.report(error, evidence=payload)
                continue
            except UnreachableError as error:
                _log.warning("command dropped: cannot be judged error=%s", error.message)
                continue
            if self._claim(command):
                self._on_command(command)

    def _open_command(self, payload: bytes) -> Command:
        around = self._around
        return open_command(payload, around.trust.verify, device_id=around.device_id, now=around.clock.now())

    def _claim(self, command: Command) -> bool:
        """Whether this command is new; from now on it is not."""
        store = self._around.store
        with store.transaction():
            return store.claim_command(command.id, command.expires_at, self._around.clock.now())

    async def _trusted(self, payload: bytes, judge: Callable[[], T]) -> T:
        """What `judge` says; when a key is named that is not known, once more with fresh keys.

        Raises:
            RefusedError: the document does not hold.
            UnreachableError: fresh keys cannot be had now, so it cannot be judged yet.
        """
        unknown = any(not self._around.trust.knows(key_id) for key_id in signer_ids(payload))
        if unknown and self._around.monotonic() - self._refreshed_s >= MIN_REFRESH_S:
            try:
                await self._around.trust.refresh()
                self._refreshed_s = self._around.monotonic()
            except EdgeferryError as error:
                if isinstance(error, RefusedError):
                    self._around.ledger.report(error)
                raise UnreachableError(f"fresh director keys: {error.message}") from error
        return judge()
