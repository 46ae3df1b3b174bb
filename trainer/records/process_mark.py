"""Which process works on a run, written so that another can tell whether it is gone: host, boot, id, start."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_START_FIELD: Final = 19  # of those after the program's name: proc(5), `starttime`


def own_mark(proc: Path = _PROC) -> str:
    """The mark of this process; empty where the system does not tell."""
    pid = os.getpid()
    boot, started = _boot(proc), _started(proc, pid)
    return f"{socket.gethostname()}/{boot}/{pid}/{started}" if boot and started else ""


def is_gone(mark: str, proc: Path = _PROC) -> bool:
    """Whether the process of that mark has certainly ended; False for other hosts and for marks that cannot be read."""
    host, *rest = mark.split("/")
    if host != socket.gethostname() or len(rest) != 3 or not rest[1].isdigit() or not _boot(proc):
        return False
    boot, pid, started = rest
    return boot != _boot(proc) or started != _started(proc, int(pid))


def _boot(proc: Path) -> str:
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(proc: Path, pid: int) -> str:
    """When the process started, in ticks since the boot; empty when there is no such process, or only its remains."""
    try:
        fields = (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in {"Z", "X"} else fields[_START_FIELD]
