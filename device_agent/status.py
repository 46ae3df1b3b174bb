"""What an agent's state folder says of it, read while the agent runs or when it does not."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from msgspec import Struct

from device_agent.identity import load_identity
from device_agent.slot_record import SlotRecord
from device_agent.store import DATABASE_FILE, translated
from fleet_contract.codec import decode
from fleet_contract.messages import SlotReport

if TYPE_CHECKING:
    from pathlib import Path


class AgentStatus(Struct, frozen=True, kw_only=True):
    """`edgeferry agent status`. `waiting` counts events and answers, `windows` telemetry, both not yet sent."""

    device_id: str
    server_url: str
    desired_rev: int
    slots: tuple[SlotReport, ...] = ()
    waiting: int = 0
    windows: int = 0
    dropped_messages: int = 0
    dropped_windows: int = 0


def read_status(state_dir: Path) -> AgentStatus:
    """The status in `state_dir`; nothing is written.

    Raises:
        ConfigError: the device is not enrolled.
        StorageError: the state cannot be read.
    """
    membership = load_identity(state_dir).membership
    file = state_dir / DATABASE_FILE
    if not file.exists():
        return AgentStatus(device_id=membership.device_id, server_url=membership.server_url, desired_rev=0)
    with translated(file):
        database = sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=5.0)
        try:
            meta = {key: bytes(value) for key, value in database.execute("SELECT key, value FROM meta")}
            records = [bytes(record) for (record,) in database.execute("SELECT record FROM slot ORDER BY name")]
            waiting, windows = (
                int(database.execute(query).fetchone()[0])
                for query in ("SELECT count(*) FROM outbox", "SELECT count(*) FROM window")
            )
        finally:
            database.close()
    return AgentStatus(
        device_id=membership.device_id,
        server_url=membership.server_url,
        desired_rev=int(meta.get("desired_rev", b"0")),
        slots=tuple(decode(record, SlotRecord).report(0) for record in records),
        waiting=waiting,
        windows=windows,
        dropped_messages=int(meta.get("dropped_messages", b"0")),
        dropped_windows=int(meta.get("dropped_windows", b"0")),
    )
