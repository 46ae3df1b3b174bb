"""A forge's runner, as far as a test needs one: the shell steps of a job, in order, in a fresh clone."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml  # type: ignore[import-untyped]  # no stubs, and only tests need it

if TYPE_CHECKING:
    from trainer.ci.workflow import Forge

TEMPLATE_FILES = Path(str(resources.files("trainer"))) / "templates"
INSTALL = "pip install"
"""Steps that need the network; the environment of the tests has it all."""
TIMEOUT_S = 250


def read_workflow(forge: Forge) -> dict[str, Any]:
    """The workflow with every scalar as text, so that GitHub's `on` is no truth value."""
    text = (TEMPLATE_FILES / "ci" / f"{forge}.yml").read_text()
    workflow: dict[str, Any] = yaml.load(text, yaml.BaseLoader)  # noqa: S506 -- it makes nothing but text
    return workflow


def github_runs(workflow: dict[str, Any], job: str) -> list[str]:
    """The scripts of a job's steps."""
    return [step["run"] for step in workflow["jobs"][job]["steps"] if "run" in step]


def git(folder: Path, *arguments: str) -> str:
    """What git says, which gets a name for the author."""
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def commit_all(folder: Path, message: str) -> None:
    """Puts the folder under git, if it is not, and commits what is there."""
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def run_steps(clone: Path, scripts: list[str], bin_folder: Path) -> str:
    """Runs each script as GitHub's runner does; returns the page of the run. Steps that install are left out."""
    bin_folder.mkdir()
    command = bin_folder / "edgeferry"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from edgeferry.cli import main; main()" "$@"\n')
    command.chmod(0o755)
    page = bin_folder / "summary"
    path = f"{bin_folder}{os.pathsep}{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "GITHUB_STEP_SUMMARY": str(page), "CI": "true"}
    for script in scripts:
        if INSTALL not in script:
            done = subprocess.run(
                ["bash", "-e", "-c", script],  # noqa: S607 -- whichever bash there is
                cwd=clone,
                env=env,
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=False,
            )
            assert done.returncode == 0, script + done.stdout + done.stderr
    return page.read_text()
