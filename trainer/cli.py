"""Commands of the trainer: `edgeferry init`, `edgeferry runs`, and what `edgeferry train` does."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trainer.ci.workflow import Forge, write_workflow

if TYPE_CHECKING:
    from trainer.judging.validate import Champion
    from trainer.project import Project

ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write the project.")] = Path(),
    template: Annotated[str, typer.Option(help="What kind of data: image, tabular or timeseries.")] = "image",
    name: Annotated[str, typer.Option(help="The model's name; by default made of the folder's.")] = "",
    *,
    ci: Annotated[Forge | None, typer.Option("--ci", help="Also write the workflow for this forge.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that exist.")] = False,
) -> None:
    """Write a working project: settings, a model, a README."""
    from trainer.scaffold import write_project

    for path in write_project(folder, template=template, name=name, force=force):
        typer.echo(path)
    if ci is not None:
        typer.echo(write_workflow(folder, ci, force=force))
    typer.echo(f"next: edgeferry train --project {folder}", err=True)


def train_project(
    project: Project,
    out: Path | None,
    *,
    champion: Champion | None = None,
    accept_data: str = "",
    fresh: bool = False,
    frozen: bool = False,
    as_json: bool = False,
) -> None:
    """What `edgeferry train` does, with the champion at hand; `accept_data` is the reason alone.

    Raises:
        GateError: the candidate, which is kept, did not pass; and what `trainer.pipeline.run` raises.
    """
    from trainer.console import TerminalProgress
    from trainer.pipeline import run
    from trainer.report import candidate_json, print_candidate, require_passed
    from trainer.training.resources import take_place

    take_place(project.settings.resources)
    if _assisted(project):
        return
    now = datetime.now(UTC)
    with TerminalProgress() as progress:
        result = run(
            project,
            out=out or project.folder / "candidates" / f"{now:%Y%m%dT%H%M%SZ}",
            now=now,
            progress=progress,
            champion=champion,
            accept_data=_by_user(accept_data),
            frozen=frozen,
            fresh=fresh,
        )
    if as_json:
        typer.echo(candidate_json(result))
    else:
        print_candidate(result)
    require_passed(result)


def runs(project: ProjectOption = Path(), *, every: bool = False, as_json: JsonOption = False) -> None:
    """List the project's trainings, or every run, with their figures and verdicts, newest first."""
    import msgspec

    from trainer.project import load_project
    from trainer.records.tracking import list_runs
    from trainer.report import print_runs

    found = list_runs(load_project(project), trainings_only=not every)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        print_runs(found)


def _assisted(project: Project) -> bool:
    """True after this process has done its part as one of several workers; the chief does the rest."""
    import os

    from trainer.console import TerminalProgress
    from trainer.pipeline import assist
    from trainer.training.distribute import read_cluster

    if read_cluster(project.settings.train.strategy, os.environ.get("TF_CONFIG", "")).is_chief:
        return False
    with TerminalProgress() as progress:
        assist(project, progress)
    return True


def _by_user(reason: str) -> str:
    """The reason with the name of who gives it; empty without a reason."""
    from getpass import getuser

    return f"{getuser()}: {reason.strip()}" if reason.strip() else ""
