"""`edgeferry runtimes`: the runtime environments in which variants are tried besides the installed runtimes."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from converter.environments.known import Environment

app = typer.Typer(
    no_args_is_help=True,
    help="Old and other runtimes in which every variant is tried: what it runs in is what it is declared for.",
    add_completion=False,
)
Folder = Annotated[
    Path | None,
    typer.Option("--folder", help="Where they are kept; default EDGEFERRY_RUNTIMES, or in the user's data folder."),
]


@app.command()
def add(
    runtime: Annotated[str, typer.Argument(help="PACKAGE==VERSION, for instance ai-edge-litert==1.4.0.")],
    *,
    python: Annotated[
        Path | None,
        typer.Option("--python", help="Interpreter to make it with; default: this one, then those on PATH."),
    ] = None,
    folder: Folder = None,
) -> None:
    """Make an environment with one runtime; one that is there already is made anew."""
    from rich.console import Console

    from converter.console_progress import console_progress
    from converter.environments.known import parse_pin
    from converter.environments.setup import add_environment

    pin, root = parse_pin(runtime), folder_of(folder)
    with console_progress(Console(stderr=True), "starting") as progress:
        made = add_environment(pin, root, python=python, now=datetime.now(UTC), progress=progress)
    typer.echo(f"{pin} on Python {made.record.python_version}, numpy {made.record.numpy_version}: {made.folder}")


@app.command("list")
def list_(
    *,
    folder: Folder = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """The environments that are there."""
    from converter.environments.known import known_environments

    root = folder_of(folder)
    found = known_environments(root)
    if as_json:
        _print_json(found)
        return
    for each in found:
        record = each.record
        typer.echo(f"{each.pin}  Python {record.python_version}  numpy {record.numpy_version}  {each.folder}")
    if not found:
        typer.echo(f"none in {root}; edgeferry runtimes add PACKAGE==VERSION makes one", err=True)


@app.command()
def remove(
    runtime: Annotated[str, typer.Argument(help="PACKAGE==VERSION, or the name of its folder.")],
    *,
    folder: Folder = None,
) -> None:
    """Remove an environment, also a broken one."""
    from converter.environments.known import remove_environment

    typer.echo(f"removed {remove_environment(runtime, folder_of(folder))}")


def folder_of(given: Path | None) -> Path:
    """The folder of environments: `given`, or the one of the process's environment."""
    from converter.environments.known import environments_folder

    return given.absolute() if given else environments_folder(os.environ, Path.home())


def installed_environments() -> tuple[Environment, ...]:
    """All environments in the default folder, for commands that try variants in them.

    Raises:
        DataError: one is broken.
    """
    from converter.environments.known import known_environments

    return known_environments(folder_of(None))


def _print_json(found: tuple[Environment, ...]) -> None:
    import msgspec

    lines = [{**msgspec.to_builtins(each.record), "folder": str(each.folder)} for each in found]
    typer.echo(msgspec.json.format(msgspec.json.encode(lines), indent=2).decode())
