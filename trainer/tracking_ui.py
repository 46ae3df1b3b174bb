"""MLflow's own pages on the project's runs, on this machine only."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConflictError, MissingExtraError, NotFoundError
from trainer.tracking import store_uri

if TYPE_CHECKING:
    from trainer.project import Project

LOOPBACK: Final = "127.0.0.1"


def ui_command(project: Project, port: int) -> list[str]:
    """The command of a child that serves MLflow's pages on loopback.

    Raises:
        ConflictError: the runs are kept by a server, which has pages of its own.
        MissingExtraError: MLflow is not installed.
        NotFoundError: no run was made yet.
    """
    store = store_uri(project)
    if store.startswith(("http:", "https:")):
        raise ConflictError(f"runs are kept by {store}", hint=f"open {store}; it has the same pages")
    if not (project.state_folder / "mlflow.db").exists():
        raise NotFoundError(f"{project.folder}: there are no runs yet", hint="`edgeferry train` makes the first")
    try:
        import mlflow  # noqa: F401  asked for here, so that its absence is told in our words
    except ImportError as error:
        raise MissingExtraError.for_extra("trainer", "mlflow") from error
    program = [sys.executable, "-m", "mlflow", "ui", "--backend-store-uri", store]
    return [*program, "--host", LOOPBACK, "--port", str(port), "--workers", "1"]


def serve_ui(project: Project, port: int) -> int:
    """Serves until it is interrupted; returns the child's exit code.

    Raises:
        ConflictError, MissingExtraError, NotFoundError: as `ui_command`.
    """
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    child = subprocess.Popen(ui_command(project, port), env=environment)
    try:
        return child.wait()
    finally:
        child.terminate()
        child.wait()
