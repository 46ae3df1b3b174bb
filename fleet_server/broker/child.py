"""A broker as a child process: started, awaited, started again when it dies, ended with us.

    child = BrokerChild(["/usr/sbin/mosquitto", "-c", "m.conf"], host="127.0.0.1", port=1883, log_file=path)
    child.start()        # returns once it accepts connections
    child.stop()

Rules: one thread starts and watches the process for as long as it shall live (Linux ties the child's life to that
thread); restarts are capped and spread by full jitter, and the count begins anew after a minute of good health.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

START_TIMEOUT_S: Final = 15.0
STOP_TIMEOUT_S: Final = 5.0
MAX_RESTARTS: Final = 20
MAX_RESTART_DELAY_S: Final = 10.0
HEALTHY_AFTER_S: Final = 60.0
LOG_TAIL_CHARS: Final = 2000

_log = logging.getLogger(__name__)


class BrokerChild:
    """One supervised broker process."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        host: str,
        port: int,
        log_file: Path,
        rng: random.Random | None = None,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        guard = Path(__file__).with_name("guard.py")
        self._command = [sys.executable, "-P", str(guard), str(os.getpid()), *command]
        self._address = (host, port)
        self._log_file = log_file
        self._rng = rng or random.Random()  # noqa: S311 -- jitter, not a secret
        self._monotonic_s = monotonic_s
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        self._settled = threading.Event()
        self._gave_up = False
        self._thread = threading.Thread(target=self._watch, name="broker-watch", daemon=True)

    @property
    def pid(self) -> int:
        """The process id of the present process, 0 while there is none."""
        process = self._process
        return process.pid if process and process.poll() is None else 0

    def start(self) -> None:
        """Starts the process and returns once it accepts connections.

        Raises:
            UnreachableError: the port is taken, or it ended or did not listen in time.
        """
        if _accepts(*self._address):
            raise UnreachableError(
                f"broker: another program listens on {self._address[0]}:{self._address[1]}",
                hint="stop it, or choose another --broker-port",
            )
        self._thread.start()
        deadline_s = self._monotonic_s() + START_TIMEOUT_S
        while self._monotonic_s() < deadline_s:
            if self._settled.wait(0.02) and (not self.pid or _accepts(*self._address)):
                break
        if not self.pid:
            self.stop()
            raise UnreachableError(
                f"broker: did not start: {self.log_tail() or 'it said nothing'}",
                hint=f"is another program on port {self._address[1]}?",
            )

    def alive(self) -> bool:
        """Whether it runs or is being started again."""
        return not (self._stopping.is_set() or self._gave_up)

    def stop(self) -> None:
        """Ends the process: politely, then by force."""
        self._stopping.set()
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
        if self._thread.is_alive():
            self._thread.join(STOP_TIMEOUT_S)
        if process is not None and process.poll() is None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def log_tail(self) -> str:
        """The end of what the process said."""
        try:
            return self._log_file.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()
        except OSError:
            return ""

    def _watch(self) -> None:
        restarts = 0
        while not self._stopping.is_set():
            started_s = self._monotonic_s()
            code = self._run()
            if self._stopping.is_set():
                return
            restarts = 1 if self._monotonic_s() - started_s > HEALTHY_AFTER_S else restarts + 1
            _log.warning("broker-ended code=%s restarts=%d tail=%r", code, restarts, self.log_tail()[-300:])
            if restarts > MAX_RESTARTS:
                self._gave_up = True
                _log.critical("broker-given-up restarts=%d", restarts)
                return
            self._stopping.wait(self._rng.uniform(0.05, min(MAX_RESTART_DELAY_S, 0.2 * 2**restarts)))

    def _run(self) -> int:
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C in the terminal is for the server, which then ends the broker
            )
        self._settled.set()
        if self._stopping.is_set():
            self._process.terminate()
        return self._process.wait()


def free_port(host: str) -> int:
    """A port on `host` that nobody listens on now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=0.5):
            return True
    except OSError:
        return False
