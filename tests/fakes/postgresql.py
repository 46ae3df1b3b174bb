"""A real PostgreSQL in a temporary folder, on a unix socket of its own, ended by its process id."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

PASSWORD = "geheim-4711"
_QUICK = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "listen_addresses=", "max_connections=40")


def find_programs() -> Path | None:
    """The folder of the newest PostgreSQL's programs, which Debian keeps out of the path; None where it is absent."""
    on_path = shutil.which("initdb")
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return Path(on_path).resolve().parent if on_path else found[-1].parent if found else None


PROGRAMS = find_programs()
needs_postgresql = pytest.mark.skipif(
    PROGRAMS is None and "EDGEFERRY_REQUIRE_SERVERS" not in os.environ, reason="PostgreSQL is not installed"
)


@contextmanager
def running_postgresql() -> Iterator[str]:
    """The URL, with a password that no output may show, of an empty database of a server that ends with the block."""
    assert PROGRAMS is not None, "PostgreSQL is not installed"
    folder = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
    try:
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres", "postgres")
        _initialise(folder)
        options = [word for option in _QUICK for word in ("-c", option)]
        command = [str(PROGRAMS / "postgres"), "-D", str(folder / "data"), "-k", str(folder), *options]
        with (folder / "log").open("wb") as log:
            server = subprocess.Popen(_as_user(command), cwd="/", stdout=log, stderr=log)
        try:
            yield _ready_url(folder, server)
        finally:
            server.send_signal(signal.SIGINT)  # "fast": sessions are ended
            server.wait(30)
    finally:
        shutil.rmtree(folder)


def _initialise(folder: Path) -> None:
    password = folder / "password"
    password.write_text(PASSWORD)
    password.chmod(0o644)
    command = [
        str(PROGRAMS and PROGRAMS / "initdb"),
        "-D",
        str(folder / "data"),
        "-U",
        "edgeferry",
        "-A",
        "scram-sha-256",
    ]
    command += [f"--pwfile={password}", "--no-sync", "--no-locale", "--encoding=UTF8"]
    subprocess.run(_as_user(command), cwd="/", check=True, capture_output=True)


def _as_user(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; Debian's package brings a user. `setpriv` keeps the process id."""
    if os.geteuid() != 0:
        return command
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command]


def _ready_url(folder: Path, server: subprocess.Popen[bytes]) -> str:
    import time

    import psycopg

    for _ in range(300):
        assert server.poll() is None, (folder / "log").read_text()
        try:
            psycopg.connect(host=str(folder), user="edgeferry", password=PASSWORD, dbname="postgres").close()
        except psycopg.OperationalError:
            time.sleep(0.1)
        else:
            return f"postgresql://edgeferry:{PASSWORD}@/postgres?host={quote(str(folder), safe='')}"
    raise AssertionError((folder / "log").read_text())
