"""Looks at a running agent process from outside."""

from __future__ import annotations

import sqlite3
import time
from typing import TYPE_CHECKING

from device_agent.store import DATABASE_FILE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def begun(state_dir: Path) -> bool:
    """Whether the agent marked its start in the state; from then on it also handles signals."""
    try:
        database = sqlite3.connect(f"file:{state_dir / DATABASE_FILE}?mode=ro", uri=True)
        try:
            return bool(database.execute("SELECT value FROM meta WHERE key = 'clean_end'").fetchone() == (b"no",))
        finally:
            database.close()
    except sqlite3.Error:
        return False


def wait_for(condition: Callable[[], object], what: str = "the condition", timeout_s: float = 40.0) -> None:
    """Until `condition` holds."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, what
        time.sleep(0.05)
