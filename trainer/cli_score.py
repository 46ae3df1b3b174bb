"""`edgeferry score`: the ML Test Score of a project, with the evidence for each point and what would raise it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from fleet_client import FleetClient


def score(
    project: Annotated[Path, typer.Option("--project", "-p", help="The project's folder.")] = Path(),
    *,
    server: Annotated[
        str, typer.Option("--server", envvar="EDGEFERRY_SERVER", help="Fleet server that serves the model, if any.")
    ] = "",
    token: Annotated[
        str, typer.Option("--token", envvar="EDGEFERRY_TOKEN", help="Your token, or @FILE.", show_default=False)
    ] = "",
    html: Annotated[Path | None, typer.Option("--html", help="Also write a page to this file.")] = None,
    at_least: Annotated[float, typer.Option("--at-least", help="Fail below this score.", min=0.0, max=7.0)] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False,
) -> None:
    """Score a project by the ML Test Score rubric: 28 tests, each with its evidence."""
    import msgspec

    from fleet_contract.errors import GateError
    from fleet_files.durable import write_file
    from trainer.project import load_project
    from trainer.score.evidence import gather
    from trainer.score.page import print_score, score_page
    from trainer.score.rubric import RUBRIC, TEST_IDS
    from trainer.score.scoring import score_project
    from trainer.score.server import server_facts

    loaded = load_project(project)
    facts = server_facts(_client(server, token), loaded.name) if server else None
    card = score_project(gather(loaded, known_tests=TEST_IDS, server=facts), RUBRIC)
    if html is not None:
        write_file(html, score_page(card).encode())
    if as_json:
        typer.echo(msgspec.json.encode(card).decode())
    else:
        print_score(card)
    if card.score < at_least:
        raise GateError(f"{card.model}: ML Test Score: got {card.score:g}, expected at least {at_least:g}")


def _client(server: str, token: str) -> FleetClient:
    from fleet_client import FleetClient
    from fleet_contract.errors import ConfigError

    if not token.startswith("@"):
        return FleetClient(server, token)
    try:
        return FleetClient(server, Path(token[1:]).read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the token file {token[1:]}: {error}") from error
