"""Children of the demo: each with a log file of its own, all gone when the demo ends, however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

from fleet_contract.errors import UnreachableError
from fleet_server.broker import guard

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


class Processes:
    """Starts `python -m ...` children and stops them by pid; a context manager.

    Args:
        logs: folder for one log file a child.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._logs.mkdir(parents=True, exist_ok=True)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def stop_all(self) -> None:
        """Stops every child, the last one first."""
        for name in reversed(list(self._running)):
            self.stop(name)

    def start(self, name: str, arguments: Sequence[str]) -> int:
        """Starts `python ARGUMENTS` in the background; its pid."""
        with (self._logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                guarded(arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=child_environment(),
                start_new_session=True,  # Ctrl-C is for the demo, which then ends its children in order
            )
        self._running[name] = child
        return child.pid

    def run(self, name: str, arguments: Sequence[str]) -> tuple[int, str]:
        """Runs `python ARGUMENTS` to its end; the exit code and its standard output. Errors go to its log."""
        with (self._logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                guarded(arguments),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=child_environment(),
                start_new_session=True,
            )
        self._running[name] = child
        try:
            output, _ = child.communicate()
        finally:
            self.stop(name)
        return child.returncode, output.decode()

    def stop(self, name: str, *, timeout_s: float = 15.0) -> None:
        """Asks a child to end, then makes it."""
        child = self._running.pop(name, None)
        if child is None or child.poll() is not None:
            return
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def alive(self, name: str) -> bool:
        """Whether the child still runs."""
        child = self._running.get(name)
        return child is not None and child.poll() is None

    def tail(self, name: str, lines: int = 12) -> str:
        """The last lines of a child's log, for an error message."""
        path = self._logs / f"{name}.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""


def guarded(arguments: Sequence[str]) -> list[str]:
    """The command of `python ARGUMENTS`, which the kernel ends when the thread that started it is gone."""
    return [sys.executable, "-P", guard.__file__, str(os.getpid()), sys.executable, *arguments]


def child_environment() -> dict[str, str]:
    """This environment with quiet, modest numeric libraries and unbuffered output."""
    return {
        **os.environ,
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def free_port() -> int:
    """A port of the loopback interface that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def wait_for(what: str, holds: Callable[[], bool], *, timeout_s: float, pause_s: float = 0.2) -> float:
    """Waits until `holds`; the seconds it took.

    Raises:
        UnreachableError: it did not hold in time.
    """
    started = time.monotonic()
    while not holds():
        if time.monotonic() - started > timeout_s:
            raise UnreachableError(f"waited {timeout_s:.0f} s for {what}, in vain")
        time.sleep(pause_s)
    return time.monotonic() - started
