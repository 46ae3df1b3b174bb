"""Makes runtime environments with `python -m venv` and pip, whose own configuration decides where packages come from.

add_environment(parse_pin("ai-edge-litert==1.4.0"), root, now=now, progress=progress)
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from converter.environments import pip_failure
from converter.environments.known import RECORD_FILE, VENV_FOLDER, Environment, Record
from converter.environments.pythons import OLDEST, find_pythons
from converter.process.jobs import DESCRIBED_FILE, Described, DescribeJob
from converter.process.sandbox import HOST_ONLY, Limits, run_job
from fleet_contract.codec import decode, encode
from fleet_contract.device_profile import version_tuple
from fleet_contract.errors import ConfigError, ContractError
from fleet_files.durable import replacing_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from converter.environments.known import Pin
    from converter.environments.pythons import Python
    from converter.progress import Progress

STEP_TIMEOUT_S: Final = 900.0
CHECK_LIMITS: Final = Limits(timeout_s=60.0, memory_mb=4096)
_FIRST_ONNXRUNTIME_FOR_NUMPY_2: Final = (1, 19)
_NEWEST_MINOR: Final = 14


def add_environment(
    pin: Pin, root: Path, *, python: Path | None = None, now: datetime, progress: Progress
) -> Environment:
    """The environment for `pin` in `root`, new and tried; an older one is replaced.

    Args:
        pin: what to install.
        root: the folder of all environments.
        python: the interpreter to make it with; None tries this one, then others on PATH.
        now: when it is made, for the record.
        progress: who watches.

    Raises:
        ConfigError: `python` cannot be used, or pip failed for a reason that is quoted.
        NotFoundError: there is no wheel for any of the Pythons; the message says for which there is.
        UnreachableError: the package index does not answer.
        ModelError: it was installed but cannot be imported.
        StorageError: the disk is full or cannot be written.
    """
    pythons = find_pythons(python)
    folder = root / pin.folder_name
    with replacing_folder(folder) as staging:
        venv = staging / VENV_FOLDER
        _install(pin, pythons, venv, progress)
        progress.stage(f"try {pin}")
        record = _record(pin, _describe(pin, venv), now)
        write_file(staging / RECORD_FILE, encode(record))
    return Environment(record=record, folder=folder)


def requirements(pin: Pin) -> tuple[str, ...]:
    """What pip installs: the runtime, msgspec for our own code, and a numpy that the runtime was built for."""
    old_onnxruntime = pin.package == "onnxruntime" and version_tuple(pin.version) < _FIRST_ONNXRUNTIME_FOR_NUMPY_2
    numpy = "numpy>=1.24,<2" if pin.package == "tflite-runtime" or old_onnxruntime else "numpy>=1.24"
    return str(pin), "msgspec>=0.19", numpy


def _install(pin: Pin, pythons: Sequence[Python], venv: Path, progress: Progress) -> None:
    """Makes `venv` with the first of `pythons` for which there is a wheel."""
    for python in pythons:
        shutil.rmtree(venv, ignore_errors=True)
        progress.stage(f"make an environment with {python}")
        _run([str(python.path), "-m", "venv", str(venv)], pin)
        progress.stage(f"install {pin}")
        done = _pip(venv, ["install", "--only-binary=:all:", *requirements(pin)])
        if done.returncode == 0:
            _pip(venv, ["uninstall", "--yes", "pip", "setuptools"])  # 15 MB that nothing there needs
            return
        if not pip_failure.is_no_wheel(done.stdout):
            raise pip_failure.explain(done.stdout, pin)
        progress.remark(f"{pin}: no wheel for {python}")
    progress.stage(f"look for which Python there is a wheel of {pin}")
    raise pip_failure.no_wheel(pin, [str(python) for python in pythons], _available(pin, venv))


def _available(pin: Pin, venv: Path) -> list[str]:
    """The Python versions, `3.11`, that our code runs on and for which pip finds a wheel."""
    versions = [f"3.{minor}" for minor in range(OLDEST[1], _NEWEST_MINOR + 1)]
    options = ["install", "--dry-run", "--no-deps", "--ignore-installed", "--only-binary=:all:", f"--target={venv}"]
    return [
        version for version in versions if _pip(venv, [*options, "--python-version", version, str(pin)]).returncode == 0
    ]


def _pip(venv: Path, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Runs the environment's own pip; what it says on both streams is in `stdout`."""
    quiet = ["--disable-pip-version-check", "--no-input", "--no-color", "--retries=2"]
    return _started([str(venv / "bin" / "python"), "-m", "pip", *quiet, *arguments])


def _run(command: Sequence[str], pin: Pin) -> None:
    done = _started(command)
    if done.returncode != 0:
        raise pip_failure.explain(done.stdout, pin)


def _started(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if name not in HOST_ONLY | {"PYTHONPATH"}}
    try:
        return subprocess.run(
            command,
            env={**environ, "LC_ALL": "C.UTF-8", "PYTHONNOUSERSITE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=STEP_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigError(f"{' '.join(command[:4])}: not done within {STEP_TIMEOUT_S:g} s and was stopped") from error


def _describe(pin: Pin, venv: Path) -> Described:
    """What is in `venv`, found out by importing it there."""
    with TemporaryDirectory(prefix="edgeferry-runtime-") as scratch:
        folder = Path(scratch)
        run_job(
            DescribeJob(package=pin.package), folder, what=str(pin), limits=CHECK_LIMITS, python=venv / "bin/python"
        )
        described = decode((folder / DESCRIBED_FILE).read_bytes(), Described)
    if described.runtime_version != pin.version:
        raise ContractError.mismatch(
            f"{pin}: installed version",
            got=described.runtime_version,
            expected=pin.version,
            hint=f"name the whole version: {pin.package}=={described.runtime_version}",
        )
    return described


def _record(pin: Pin, described: Described, now: datetime) -> Record:
    return Record(
        package=pin.package,
        version=pin.version,
        python_version=described.python_version,
        numpy_version=described.numpy_version,
        made_at=now,
    )
