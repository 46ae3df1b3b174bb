"""`edgeferry train`: data to a validated candidate, if wanted held against a released version."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

from edgeferry.session import DEFAULT_SERVER, AsJson, Server, Token

if TYPE_CHECKING:
    from trainer.judging.validate import Champion


def train(
    project: Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")] = Path(),
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The candidate's folder; default candidates/TIME.")
    ] = None,
    *,
    champion: Annotated[
        str,
        typer.Option(help="The version to be no worse than: a bundle folder, or MODEL@VERSION of the fleet server."),
    ] = "",
    accept_data: Annotated[
        str, typer.Option("--accept-data", help="Why to train on data that fail their schema; recorded with your name.")
    ] = "",
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also where a killed run would go on.")] = False,
    frozen: Annotated[bool, typer.Option("--frozen", help="Refuse data other than the pinned snapshot.")] = False,
    server: Server = DEFAULT_SERVER,
    token: Token = "",
    as_json: AsJson = False,
) -> None:
    """Make a candidate: verify the data, train, evaluate, validate. Fails, with the candidate kept, if a gate does."""
    from trainer.cli import train_project
    from trainer.project import load_project

    loaded = load_project(project)
    with TemporaryDirectory(prefix="edgeferry-champion-") as scratch:
        train_project(
            loaded,
            out,
            champion=_champion(champion, Path(scratch), server, token) if champion else None,
            accept_data=accept_data,
            fresh=fresh,
            frozen=frozen,
            as_json=as_json,
        )


def _champion(release: str, scratch: Path, server: str, token: str) -> Champion:
    """The released version, scored as a device would by its variant nearest to float."""
    from edgeferry.released import open_released, raw_scores
    from trainer.judging.validate import Champion

    released = open_released(release, "", scratch, server=server, token=token)
    return Champion(
        version=released.manifest.version, scores=partial(raw_scores, released), labels=released.manifest.labels
    )
