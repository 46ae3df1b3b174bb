"""The built wheel: what is in it, and that the light parts run from it without the heavy ones."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).parents[2]
OURS = {
    "edgeferry",
    "fleet_contract",
    "fleet_client",
    "fleet_files",
    "fleet_rows",
    "trainer",
    "converter",
    "fleet_server",
    "device_agent",
}
LIGHT = ("numpy", "msgspec", "urllib3", "h11", "aiomqtt", "paho", "typing_extensions.py")
"""What an agent needs before it has a runtime and a server."""


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the tree."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment with the wheel and an agent's few libraries, and nothing else."""
    folder = tmp_path_factory.mktemp("light") / "venv"
    venv.create(folder, with_pip=False)
    (site,) = folder.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    here = Path(msgspec.__path__[0]).parent
    for name in LIGHT:
        (site / name).symlink_to(here / name)
    for libraries in here.glob("numpy.libs"):
        (site / libraries.name).symlink_to(libraries)
    return folder / "bin" / "python"


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python away from the tree."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "EDGEFERRY"))}
    return subprocess.run(
        [str(python), *arguments], cwd="/", env=environment, capture_output=True, text=True, check=False
    )


def test_the_wheel_holds_our_packages_and_nothing_else(wheel: Path) -> None:
    """Eight top-level names, no tests, no documents, and the data files that parts read."""
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == OURS
    for wanted in (
        "trainer/templates/image/model.py",
        "trainer/templates/image/edgeferry.toml",
        "fleet_server/migrations/versions/0001_initial.py",
        "fleet_contract/py.typed",
    ):
        assert wanted in names
    assert any(name.startswith("fleet_server/dashboard/") and name.endswith(".html") for name in names)
    assert not [name for name in names if "__pycache__" in name or ".ruff_cache" in name]


def test_help_works_without_any_extra(light: Path) -> None:
    """The front door opens in the lightest install."""
    done = run(light, "-m", "edgeferry", "--help")
    assert done.returncode == 0, done.stderr
    assert "rollout" in done.stdout


@pytest.mark.parametrize(
    "module", ["fleet_contract.api", "fleet_client", "device_agent.agent", "device_agent.host.entry"]
)
def test_light_modules_import_alone(light: Path, module: str) -> None:
    """The contract, the client and the agent's two processes need none of the heavy libraries."""
    done = run(light, "-c", f"import {module}")
    assert done.returncode == 0, done.stderr
