"""MLflow's own pages on the project's runs, on this machine only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConflictError, MissingExtraError, NotFoundError
from trainer.records.tracking import store_uri

if TYPE_CHECKING:
    from types import FrameType

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
    """Serves until it is interrupted or told to end; returns the child's exit code and leaves no process behind.

    Raises:
        ConflictError, MissingExtraError, NotFoundError: as `ui_command`.
    """
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    command = ui_command(project, port)
    before = signal.signal(signal.SIGTERM, _leave)
    child = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        return child.wait()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)  # MLflow starts a server of its own
        child.wait()
        signal.signal(signal.SIGTERM, before)


def _leave(number: int, _frame: FrameType | None) -> None:
    """Ends like Ctrl-C, so that the child is ended as well."""
    raise SystemExit(128 + number)
