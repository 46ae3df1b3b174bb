"""Options that every command against the fleet server shares, and the client that they make."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fleet_client import FleetClient
from fleet_contract.errors import ConfigError

Server = Annotated[
    str, typer.Option("--server", envvar="EDGEFERRY_SERVER", help="Address of the fleet server.", show_default=True)
]
Token = Annotated[
    str,
    typer.Option("--token", envvar="EDGEFERRY_TOKEN", help="Your token, or @FILE that holds it.", show_default=False),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]

DEFAULT_SERVER = "http://127.0.0.1:8080"


def connect(server: str, token: str) -> FleetClient:
    """A client for `server` with `token`, which may be `@FILE`.

    Raises:
        ConfigError: no token was given, or its file cannot be read.
    """
    if not token:
        raise ConfigError(
            "no token given",
            hint="--token TOKEN, --token @FILE or EDGEFERRY_TOKEN; the server writes the first to admin.token",
        )
    if token.startswith("@"):
        path = Path(token[1:])
        try:
            token = path.read_text().strip()
        except OSError as error:
            raise ConfigError(f"cannot read the token file {path}: {error.strerror}") from error
    return FleetClient(server, token)
