"""`edgeferry convert`: a candidate to proven TFLite and ONNX variants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence


def convert(  # noqa: PLR0917  typer passes options by name
    candidate: Annotated[
        Path | None, typer.Argument(help="Folder that `edgeferry train` wrote; default: the newest in ./candidates.")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle; an older bundle is replaced.")] = Path(
        "release"
    ),
    recipes: Annotated[str, typer.Option("--recipes", help="Names, with commas; default: the candidate's.")] = "",
    target: Annotated[
        list[str] | None,
        typer.Option("--target", help="Kinds of device to convert for, with commas or repeated; also picks recipes."),
    ] = None,
    override: Annotated[
        str, typer.Option("--override", help="Why to convert a candidate whose verdict did not pass; recorded.")
    ] = "",
    timeout_s: Annotated[float, typer.Option("--timeout", help="Seconds that one recipe may take.")] = 300.0,
    as_json: Annotated[bool, typer.Option("--json", help="The report as JSON on stdout.")] = False,  # noqa: FBT002  a flag of the command line
) -> None:
    """Convert a candidate to quantized, proven variants and write the release bundle."""
    from rich.console import Console

    from converter.cli_runtimes import installed_environments
    from converter.console_progress import console_progress
    from converter.pipeline import convert as run
    from converter.pipeline import search_folder
    from converter.process.sandbox import Limits
    from converter.report.terminal import show
    from converter.sources.candidate_folder import newest_candidate

    console = Console(stderr=True)
    with console_progress(console, "converting", records=search_folder(out)) as progress:
        bundle = run(
            candidate or newest_candidate(Path("candidates")),
            out,
            progress=progress,
            recipes=_names([recipes]) or None,
            targets=_names(target or []),
            override=_signed(override),
            limits=Limits(timeout_s=timeout_s),
            environments=installed_environments(),
        )
    show(bundle, console, as_json=as_json)


def _names(lists: Sequence[str]) -> tuple[str, ...]:
    """The names in lists with commas."""
    return tuple(name.strip() for each in lists for name in each.split(",") if name.strip())


def _signed(override: str) -> str:
    """The reason with the name of the user who gives it."""
    if not override.strip():
        return ""
    from getpass import getuser

    return f"{getuser()}: {override.strip()}"
