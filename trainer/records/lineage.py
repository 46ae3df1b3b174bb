"""Where a run comes from: the revision of the project's code and the versions of the tools."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

TOOLS: Final = ("edgeferry", "keras", "mlflow", "numpy", "scikit-learn", "tensorflow")
GIT_TIMEOUT_S: Final = 5.0


def git_revision(folder: Path) -> str:
    """The commit that `folder` is at, with `-dirty` after it when files there differ; empty outside git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return ""
    changes = _git(folder, "status", "--porcelain", "--untracked-files=no", "--", ".")
    return f"{commit}-dirty" if changes else commit


def _git(folder: Path, *arguments: str) -> str:
    """The answer of git; empty when git is absent, slow, or says no."""
    program = shutil.which("git")
    if program is None:
        return ""
    try:
        done = subprocess.run(
            [program, "-C", str(folder), *arguments], capture_output=True, text=True, timeout=GIT_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def newest_change(folder: Path, *files: str) -> str:
    """The message of the newest commit on the main line that changed one of `files`; empty outside git."""
    return _git(folder, "log", "-1", "--first-parent", "--format=%B", "--", *files)


def tool_versions() -> dict[str, str]:
    """Versions of Python and of the libraries that shape a model; what is not installed is left out."""
    versions = {"python": platform.python_version()}
    for name in TOOLS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def tracked_files(folder: Path) -> frozenset[str]:
    """What git tracks in `folder`, as paths from it; empty outside git."""
    return frozenset(_git(folder, "ls-files", "-z", "--", ".").split("\0")) - {""}
