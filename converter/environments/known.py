"""Runtime environments: small virtual environments with one inference runtime each, in which variants are tried.

    ROOT/<package>-<version>/runtime.json    what is in it
    ROOT/<package>-<version>/venv/           the virtual environment; its Python is `venv/bin/python`

Each folder appears whole or not at all. ROOT is EDGEFERRY_RUNTIMES, or `edgeferry/runtimes` in the user's data folder.
`converter.environments.setup` makes them.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from converter.proof.compatibility import PACKAGES
from fleet_contract.codec import UtcTime, decode
from fleet_contract.device_profile import Runtime, version_tuple
from fleet_contract.errors import ConfigError, ContractError, DataError, NotFoundError
from fleet_files.durable import cannot_write

if TYPE_CHECKING:
    from collections.abc import Mapping

RECORD_FILE: Final = "runtime.json"
VENV_FOLDER: Final = "venv"
FOLDER_VARIABLE: Final = "EDGEFERRY_RUNTIMES"
_PIN: Final = re.compile(r"(?P<package>[a-z][a-z-]*)==(?P<version>\d+(\.\d+){0,3}([a-z]+\d+)?)")


@dataclass(frozen=True, slots=True)
class Pin:
    """One version of a runtime package."""

    package: str
    version: str

    def __str__(self) -> str:
        return f"{self.package}=={self.version}"

    @property
    def folder_name(self) -> str:
        """The name of its environment's folder."""
        return f"{self.package}-{self.version}"

    @property
    def runtime(self) -> Runtime:
        """The family that the package belongs to."""
        return next(runtime for runtime, packages in PACKAGES.items() if self.package in packages)


class Record(Struct, frozen=True, kw_only=True):
    """`runtime.json`."""

    package: str
    version: str
    python_version: str
    numpy_version: str
    made_at: UtcTime


class Environment(Struct, frozen=True, kw_only=True):
    """An environment that is there."""

    record: Record
    folder: Path

    @property
    def pin(self) -> Pin:
        """What it holds."""
        return Pin(self.record.package, self.record.version)

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / VENV_FOLDER / "bin" / "python"


def parse_pin(text: str) -> Pin:
    """The pin that `text`, PACKAGE==VERSION, names.

    Raises:
        ConfigError: it is no pin, or no runtime package of ours.
    """
    known = [package for packages in PACKAGES.values() for package in packages]
    match = _PIN.fullmatch(text.strip())
    if match is None or match["package"] not in known:
        raise ConfigError(
            f"runtime: got {text!r}, expected PACKAGE==VERSION with a package of {', '.join(known)}",
            hint=f"for instance {known[0]}==1.4.0",
        )
    return Pin(match["package"], match["version"])


def environments_folder(environ: Mapping[str, str], home: Path) -> Path:
    """Where environments are kept: EDGEFERRY_RUNTIMES, or a folder of the user's data."""
    if environ.get(FOLDER_VARIABLE):
        return Path(environ[FOLDER_VARIABLE])
    data = environ.get("XDG_DATA_HOME", "")
    return (Path(data) if data.startswith("/") else home / ".local" / "share") / "edgeferry" / "runtimes"


def known_environments(root: Path) -> tuple[Environment, ...]:
    """All environments in `root`, by package and version; none where there is no such folder.

    Raises:
        DataError: one is broken; leaving it out would claim what it could refute.
    """
    if not root.is_dir():
        return ()
    found = [_load(folder) for folder in root.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return tuple(sorted(found, key=lambda each: (each.pin.package, version_tuple(each.pin.version))))


def _load(folder: Path) -> Environment:
    hint = f"edgeferry runtimes remove {folder.name}, then add it again"
    try:
        environment = Environment(record=decode((folder / RECORD_FILE).read_bytes(), Record), folder=folder)
    except (OSError, ContractError) as error:
        raise DataError(f"{folder}: not a runtime environment: {error}", hint=hint) from error
    pin = environment.pin
    if folder.name != pin.folder_name or pin.package not in {name for names in PACKAGES.values() for name in names}:
        raise DataError(f"{folder}: got {pin}, expected what the folder's name says", hint=hint)
    if not environment.python.exists():
        raise DataError(f"{environment.python}: missing, the Python that it was made with may be gone", hint=hint)
    return environment


def remove_environment(name: str, root: Path) -> Path:
    """Removes the environment `name` (PACKAGE==VERSION, or its folder's name), also a broken one; returns its folder.

    Raises:
        NotFoundError: there is none of that name.
        StorageError: it cannot be removed.
    """
    folder = root / name.strip().replace("==", "-")
    names = sorted(each.name for each in root.iterdir() if not each.name.startswith(".")) if root.is_dir() else []
    if folder.name not in names or folder.parent != root:
        raise NotFoundError(
            f"{root}: no runtime environment {name!r}, expected one of {', '.join(names) or 'none, it is empty'}",
            hint="edgeferry runtimes list",
        )
    doomed = root / f".{folder.name}.removed"
    try:
        shutil.rmtree(doomed, ignore_errors=True)
        folder.rename(doomed)
        shutil.rmtree(doomed)
    except OSError as error:
        raise cannot_write(folder, error) from error
    return folder
