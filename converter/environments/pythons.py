"""Which Pythons of this machine can make a runtime environment: 3.11 or newer, as our own code in it asks for."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

OLDEST: Final = (3, 11)
NAMES: Final = ("python3", "python3.11", "python3.12", "python3.13", "python3.14")
PROBE_TIMEOUT_S: Final = 20.0
_PROBE: Final = "import sys, venv, ensurepip; print('.'.join(map(str, sys.version_info[:2])))"


@dataclass(frozen=True, slots=True)
class Python:
    """An interpreter that runs and has venv. `version` is major and minor."""

    path: Path
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"Python {self.version[0]}.{self.version[1]}"


def find_pythons(given: Path | None = None) -> tuple[Python, ...]:
    """The interpreter `given`; without it this one, then those on PATH, one of each version.

    Raises:
        ConfigError: `given` does not run, is too old, or lacks venv; or there is none at all.
    """
    if given is not None:
        return (_required(given),)
    paths = [Path(sys.executable), *(Path(found) for name in NAMES if (found := shutil.which(name)))]
    pythons = first_of_each_version(python for path in paths if (python := probe(path)))
    if not pythons:
        raise ConfigError(
            f"no Python {OLDEST[0]}.{OLDEST[1]} or newer with venv on PATH", hint="apt install python3-venv"
        )
    return pythons


def first_of_each_version(pythons: Iterable[Python]) -> tuple[Python, ...]:
    """Those that are new enough, each version once, in the order given."""
    by_version: dict[tuple[int, int], Python] = {}
    for python in pythons:
        if python.version >= OLDEST:
            by_version.setdefault(python.version, python)
    return tuple(by_version.values())


def probe(path: Path) -> Python | None:
    """The interpreter at `path`; None when it does not run (pyenv leaves such on PATH) or lacks venv."""
    try:
        done = subprocess.run(
            [str(path), "-I", "-c", _PROBE], capture_output=True, text=True, timeout=PROBE_TIMEOUT_S, check=True
        )
        major, minor = done.stdout.split(".")
        return Python(path, (int(major), int(minor)))
    except (OSError, subprocess.SubprocessError, ValueError):
        return None


def _required(given: Path) -> Python:
    found = shutil.which(str(given))
    python = probe(Path(found)) if found else None
    if python is None:
        raise ConfigError(
            f"--python {given}: does not run, or lacks venv", hint="apt install python3-venv, or name another"
        )
    if python.version < OLDEST:
        raise ConfigError(
            f"--python {given}: got {python}, expected {OLDEST[0]}.{OLDEST[1]} or newer, which the proof itself needs"
        )
    return python
