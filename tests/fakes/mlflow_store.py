"""An empty MLflow database for projects of tests: MLflow makes one by all its migrations, which takes seconds.

It is made once, in a child process, and kept in the system's folder for temporary files under MLflow's version.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Final

_MAKE: Final = "import sys; from mlflow.tracking import MlflowClient; MlflowClient(sys.argv[1])"


def give_run_store(state_folder: Path) -> None:
    """The database of a project that was trained before, without any run."""
    state_folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_empty(), state_folder / "mlflow.db")


@cache
def _empty() -> Path:
    path = Path(tempfile.gettempdir()) / f"edgeferry-tests-{os.getuid()}-mlflow-{version('mlflow')}.db"
    if not path.exists():
        making = Path(tempfile.mkdtemp(prefix="edgeferry-making-")) / path.name
        quiet = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
        command = [sys.executable, "-c", _MAKE, f"sqlite:///{making}"]
        subprocess.run(command, check=True, capture_output=True, env=quiet, cwd=making.parent)
        making.rename(path)
        shutil.rmtree(making.parent)
    return path
