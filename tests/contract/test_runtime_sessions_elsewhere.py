"""The agent's session keeps its promises over tflite-runtime too, which does not go with this environment's numpy.

The same suite runs in a child, in a runtime environment: EDGEFERRY_TEST_RUNTIMES names the folder (`make runtimes`).
"""

from __future__ import annotations

import os
import re
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fakes.host_releases import model_folder

ROOT = Path(__file__).parents[2]
FOLDER = os.environ.get("EDGEFERRY_TEST_RUNTIMES", "")
OURS = ("device_agent", "fleet_contract", "fleet_files", "fleet_client", "tests")
PYTEST = ("pytest", "_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py")
"""Pure Python, so that links to ours do in another environment."""
CASES = 14


@pytest.mark.skipif(not FOLDER, reason="EDGEFERRY_TEST_RUNTIMES names no folder (make runtimes)")
def test_the_sessions_of_tflite_runtime_keep_the_same_promises(tmp_path: Path) -> None:
    """Every case of the suite for tflite-runtime passes, and none is skipped."""
    model_folder()  # made here: the other environment has nothing to make it with
    python = Path(FOLDER) / "tflite-runtime-2.14.0" / "venv" / "bin" / "python"
    packages = tmp_path / "packages"
    packages.mkdir()
    for source in (*(ROOT / name for name in OURS), *(_installed(name) for name in PYTEST)):
        (packages / source.name).symlink_to(source)
    suite = str(ROOT / "tests" / "contract" / "test_runtime_sessions.py")
    options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--import-mode=importlib", "-k", "tflite-runtime"]
    done = subprocess.run(
        [str(python), "-P", "-m", "pytest", *options, suite],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(packages), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(rf"^{CASES} passed", done.stdout, re.MULTILINE), done.stdout


def _installed(name: str) -> Path:
    """The package's folder, or the module's file."""
    spec = find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    path = Path(spec.origin)
    return path.parent if path.name == "__init__.py" else path
