"""`edgeferry runs`: training runs with their figures and verdicts, side by side, and in MLflow's own pages."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet_contract.errors import StorageError

app = typer.Typer(help="Training runs and their verdicts.", add_completion=False, invoke_without_command=True)
ProjectOption = Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]


@app.callback()
def runs(
    context: typer.Context,
    project: ProjectOption = Path(),
    *,
    every: Annotated[bool, typer.Option("--all", help="Also searches and their trials.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the project's trainings with their figures and verdicts, newest first."""
    if context.invoked_subcommand is None:
        from trainer import cli

        cli.runs(project, every=every, as_json=as_json)


@app.command()
def compare(
    first: Annotated[str, typer.Argument(help="A run's id, the start of one, `latest` or `latest~1`.")],
    second: Annotated[str, typer.Argument(help="Likewise.")] = "latest",
    project: ProjectOption = Path(),
    *,
    as_json: JsonOption = False,
) -> None:
    """Parameters that differ and figures of two runs, side by side."""
    import msgspec

    from trainer.project import load_project
    from trainer.records.run_comparison import compare_runs, find_run
    from trainer.records.tracking import list_runs, read_run
    from trainer.report import print_comparison

    loaded = load_project(project)
    known = list_runs(loaded)
    result = compare_runs(*(read_run(loaded, find_run(known, name)) for name in (first, second)))
    if as_json:
        typer.echo(msgspec.json.encode(result).decode())
    else:
        print_comparison(result)


@app.command()
def ui(
    project: ProjectOption = Path(),
    port: Annotated[int, typer.Option(help="Port on this machine.", min=1, max=65535)] = 5000,
) -> None:
    """Open MLflow's pages on the project's runs, for this machine only, until Ctrl-C."""
    from trainer.project import load_project
    from trainer.records.tracking_ui import LOOPBACK, serve_ui

    typer.echo(f"http://{LOOPBACK}:{port} (Ctrl-C ends it)", err=True)
    code = serve_ui(load_project(project), port)
    if code:
        raise StorageError(f"MLflow's pages ended with exit code {code}", hint="is the port taken? try --port")
