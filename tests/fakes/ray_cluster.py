"""What Ray started on this machine: its processes, where they listen, what they leave."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

LISTENING = "0A"
LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")
"""127.0.0.1 as the kernel writes it, plain and in IPv6."""

needs_ray = pytest.mark.skipif(
    find_spec("ray") is None and "EDGEFERRY_REQUIRE_SERVERS" not in os.environ, reason="Ray is not installed: make ray"
)


@pytest.fixture
def ray_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder for temporary files of what the test starts: a short path, as Ray's sockets are below it."""
    folder = Path(tempfile.mkdtemp(prefix="ef-", dir="/tmp"))
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    yield folder
    shutil.rmtree(folder)


def descendants(pid: int) -> set[int]:
    """The process and all that it started, directly or not."""
    parents = {int(path.name): _parent(path) for path in Path("/proc").iterdir() if path.name.isdigit()}
    found, count = {pid}, 0
    while len(found) > count:
        count = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found


def foreign_listeners(pid: int) -> set[str]:
    """Addresses other than the loopback at which the process or one of its descendants listens."""
    sockets = {link for process in descendants(pid) for link in _links(process)}
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    theirs = {line[1] for line in lines if line[3] == LISTENING and f"socket:[{line[9]}]" in sockets}
    return {address for address in theirs if address.partition(":")[0] not in LOOPBACK}


def survivors(pids: set[int], *, timeout_s: float) -> list[str]:
    """What runs of these processes after so long, or nothing as soon as all have ended."""
    deadline = time.monotonic() + timeout_s
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    return [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ") for pid in left if alive(pid)]


def alive(pid: int) -> bool:
    """Whether the process runs."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _links(pid: int) -> set[str]:
    found = set[str]()
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            found.add(str(entry.readlink()))
    except OSError:  # it ended, or closed the file meanwhile
        pass
    return found
