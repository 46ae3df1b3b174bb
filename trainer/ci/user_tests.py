"""The user's own tests, run by pytest in a child process, so that nothing they do reaches the checks after them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fleet_contract.errors import ConfigError, GateError, MissingExtraError
from trainer.ci.junit import read_pytest

if TYPE_CHECKING:
    from trainer.ci.checks import Check
    from trainer.project import Project

SUITE: Final = "the project's tests"
NO_TESTS: Final = 5
"""pytest's exit code when it found none."""
PASSED_OR_FAILED: Final = (0, 1)
SHOWN_CHARS: Final = 2000


def run_user_tests(project: Project) -> list[Check]:
    """One check for each test in the project's folder of tests; empty when there are none.

    Raises:
        ConfigError: pytest cannot collect them.
        GateError: they take longer than `[ci] tests_timeout_s`.
        MissingExtraError: there are tests, and pytest is not installed.
    """
    settings = project.settings.ci
    folder = project.folder / settings.tests
    if not folder.is_dir():
        return []
    if find_spec("pytest") is None:
        raise MissingExtraError("the project's tests need pytest, which is not installed", hint="pip install pytest")
    with tempfile.TemporaryDirectory(prefix="edgeferry-ci-") as scratch:
        report = Path(scratch) / "junit.xml"
        done = _pytest(project, folder, report)
        if done.returncode == NO_TESTS:
            return []
        if done.returncode not in PASSED_OR_FAILED or not report.is_file():
            why = _last_error(done.stdout)
            raise ConfigError(f"{folder}: pytest ended with {done.returncode}: {why}\n{done.stdout[-SHOWN_CHARS:]}")
        return read_pytest(report.read_bytes(), SUITE)


def _last_error(said: str) -> str:
    """The error by which pytest ended, which it marks with an E; what comes first is all that a table shows."""
    return next((line[1:].strip() for line in reversed(said.splitlines()) if line.startswith("E ")), "no error told")


def _pytest(project: Project, folder: Path, report: Path) -> subprocess.CompletedProcess[str]:
    options = ["-q", "-p", "no:cacheprovider", f"--junit-xml={report}", "-o", "junit_family=xunit2"]
    timeout_s = project.settings.ci.tests_timeout_s
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *options, "--", str(folder)],
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise GateError(f"{folder}: got no end of the tests after {timeout_s:g} s, expected one") from error
